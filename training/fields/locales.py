"""How receipts of a country are worded, and how they write money and dates.

Characters are those that the nano checkpoint reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final


def _listed(text: str) -> tuple[str, ...]:
    return tuple(" ".join(entry.split()) for entry in text.split(";"))


@dataclass(frozen=True)
class Language:
    """The words around the fields; each is one of several that mean the same."""

    total: tuple[str, ...]
    subtotal: tuple[str, ...]
    tax: tuple[str, ...]
    included: tuple[str, ...]
    tax_table: tuple[str, ...]
    discount: tuple[str, ...]
    cash: tuple[str, ...]
    card: tuple[str, ...]
    change: tuple[str, ...]
    date: tuple[str, ...]
    deadline: tuple[str, ...]
    number: tuple[str, ...]
    staff: tuple[str, ...]
    item_heads: tuple[tuple[str, str, str, str], ...]
    counts: tuple[str, ...]
    titles: tuple[str, ...]
    closings: tuple[str, ...]
    businesses: tuple[str, ...]
    streets: tuple[str, ...]
    cities: tuple[str, ...]
    months: tuple[str, ...]


ENGLISH: Final = Language(
    total=_listed("Total; TOTAL; Grand Total; Amount Due; Balance Due; TOTAL DUE; To Pay; Total to pay; TOTAL AMOUNT"),
    subtotal=_listed("Subtotal; SUBTOTAL; Sub-total; Sub Total; Net total; Goods"),
    tax=_listed("VAT; Tax; Sales Tax; State Tax; VAT @; TAX; GST"),
    included=_listed("incl. VAT; Includes VAT; VAT included; of which VAT"),
    tax_table=_listed("Rate; Net; VAT; Gross"),
    discount=_listed("Discount; Coupon; Member discount; Voucher; Multi-buy saving; Promotion"),
    cash=_listed("Cash; CASH; Cash tendered; Paid cash"),
    card=_listed("Card; CARD; Debit card; Credit Card; Contactless; Chip and PIN"),
    change=_listed("Change; CHANGE; Change due; Your change"),
    date=_listed("Date; Date:; DATE; Sold on; Printed"),
    deadline=_listed("Return by; Valid until; Refunds until; Next visit before; Offer ends"),
    number=_listed("Receipt; Receipt no.; Invoice; Order; Table; Trans:; Ticket; Till"),
    staff=_listed("Cashier; Served by; Your server; Operator; Clerk"),
    item_heads=(("Item", "Qty", "Price", "Amount"), ("Description", "Quantity", "Each", "Total")),
    counts=_listed("Items; Number of items; Total items; Item count; TOTAL ITEMS"),
    titles=_listed("RECEIPT; Tax invoice; Customer copy; SALE; Receipt of sale; Welcome to; Welcome; VAT receipt"),
    closings=_listed(
        "Thank you!; Thank you for your visit; Please come again; Have a nice day; Keep this receipt; No refunds; "
        "See you soon; All prices incl. VAT; Open 8-20 daily; We accept Visa and Mastercard; Cash only on Sundays; "
        "You saved today; Tell us how we did; Total satisfaction or your money back"
    ),
    businesses=_listed(
        "Market; Cafe; Books; Bakery; Grocery; Pharmacy; Diner; Deli; Hardware; Stores; Supermarket; Fish Bar; Ltd; "
        "Inc.; & Sons; Coffee House; Garden Centre; Restaurant; Electronics; Shoes; Toys; Pet Supplies; Hotel; Grill"
    ),
    streets=_listed("Street; Road; Lane; Avenue; Square; Grove; St.; Rd; Drive; Way; Blvd"),
    cities=_listed(
        "London; Leeds; Bristol; York; Oxford; Springfield; Portland; Austin; Boston; Denver; Toronto; Perth; Dublin; "
        "Salem; Madison; Newport; Cambridge; Glasgow"
    ),
    months=_listed("January; February; March; April; May; June; July; August; September; October; November; December"),
)

GERMAN: Final = Language(
    total=_listed("Summe; SUMME; Gesamt; Gesamtbetrag; Zu zahlen; GESAMT; Gesamtsumme; Rechnungsbetrag; Total"),
    subtotal=_listed("Zwischensumme; Netto; Nettobetrag; ZWISCHENSUMME; Warenwert"),
    tax=_listed("MwSt; MwSt.; USt.; MWST; Mehrwertsteuer"),
    included=_listed("inkl. MwSt; enthaltene MwSt; inkl. USt.; darin MwSt."),
    tax_table=_listed("Satz; Netto; MwSt; Brutto"),
    discount=_listed("Rabatt; Gutschein; Nachlass; Coupon; Aktion"),
    cash=_listed("Bar; BAR; Bargeld; Gegeben Bar; Barzahlung"),
    card=_listed("Karte; EC-Karte; Girocard; Kreditkarte; Kartenzahlung; KARTE"),
    change=_listed("Wechselgeld; Rückgeld; Zurück; Rest"),
    date=_listed("Datum; Datum:; Belegdatum; Datum/Zeit"),
    deadline=_listed("Umtausch bis; Einlösbar bis; Aktion bis; Garantie bis"),
    number=_listed("Beleg; Bon-Nr.; Rechnung; Rechnungsnr.; Tisch; Kasse; Bestellung"),
    staff=_listed("Bediener; Kassierer; Es bediente; Verkäufer; Kassiererin"),
    item_heads=(("Artikel", "Menge", "Preis", "Betrag"), ("Bezeichnung", "Anz.", "Einzel", "Gesamt")),
    counts=_listed("Anzahl Artikel; Artikel; Posten; Stück"),
    titles=_listed("RECHNUNG; Kassenbon; Quittung; Kundenbeleg; Beleg; Willkommen bei; Bewirtungsbeleg"),
    closings=_listed(
        "Vielen Dank!; Danke für Ihren Einkauf; Auf Wiedersehen; Schönen Tag noch; Bitte Beleg aufbewahren; "
        "Alle Preise inkl. MwSt; Wir akzeptieren EC-Karte; Keine Barauszahlung; Sie sparten heute; "
        "Umtausch nur mit Bon"
    ),
    businesses=_listed(
        "GmbH; Markt; Apotheke; Bäckerei; Backstube; Gasthaus; Buchhandlung; Drogerie; KG; e.K.; Metzgerei; Hof; "
        "Getränke; Baumarkt; Imbiss; Hotel; Weinhandel"
    ),
    streets=_listed("strasse; weg; platz; gasse; allee; str.; ring; damm"),
    cities=_listed(
        "Berlin; Hamburg; München; Köln; Bonn; Leipzig; Wien; Graz; Zürich; Basel; Bern; Ulm; Kiel; Mainz; Lübeck"
    ),
    months=_listed("Januar; Februar; März; April; Mai; Juni; Juli; August; September; Oktober; November; Dezember"),
)

FRENCH: Final = Language(
    total=_listed("Total; TOTAL TTC; TOTAL; Total TTC; Net TTC; Montant total; Reste du"),
    subtotal=_listed("Sous-total; Total HT; Montant HT; SOUS-TOTAL"),
    tax=_listed("TVA; TVA :; T.V.A."),
    included=_listed("dont TVA; TVA incluse; TTC dont TVA"),
    tax_table=_listed("Taux; HT; TVA; TTC"),
    discount=_listed("Remise; Bon de réduction; Promotion; Avoir"),
    cash=_listed("Espèces; ESPECES; Comptant"),
    card=_listed("Carte; CB; Carte bancaire; CARTE BLEUE; Sans contact"),
    change=_listed("Rendu; Monnaie; Rendu monnaie; RENDU"),
    date=_listed("Date; Date :; Le; DATE"),
    deadline=_listed("Valable jusqu'au; Retour avant le; Offre jusqu'au"),
    number=_listed("Ticket; Facture; Ticket no; Table; Caisse; Commande"),
    staff=_listed("Caissier; Servi par; Serveur; Vendeur; Hotesse"),
    item_heads=(("Article", "Qté", "Prix", "Montant"), ("Désignation", "Qte", "P.U.", "Total")),
    counts=_listed("Nombre d'articles; Articles; Nb articles"),
    titles=_listed("TICKET; Facture; Bienvenue chez; Ticket client; Bienvenue"),
    closings=_listed(
        "Merci!; Merci de votre visite; Au revoir; Bonne journée; Conservez ce ticket; Prix nets; "
        "Nous acceptons Visa; Prix TTC en euros; Vous avez économisé; Ni repris ni échangé"
    ),
    businesses=_listed(
        "Boulangerie; Brasserie; Librairie; Pharmacie; Epicerie; SARL; Boutique; Traiteur; Fleurs; Fromagerie; Bar; "
        "Bistrot; Tabac; Hotel; et Fils"
    ),
    streets=_listed("rue de; rue du; avenue de; place de; boulevard; rue; quai de; impasse"),
    cities=_listed("Paris; Lyon; Lille; Nantes; Nice; Dijon; Rennes; Tours; Metz; Brest; Annecy; Liège; Lausanne"),
    months=_listed("janvier; février; mars; avril; mai; juin; juillet; aout; septembre; octobre; novembre; décembre"),
)

SPANISH: Final = Language(
    total=_listed("Total; TOTAL; Importe total; Total a pagar; TOTAL EUROS; A pagar"),
    subtotal=_listed("Subtotal; Base imponible; SUBTOTAL; Importe neto"),
    tax=_listed("IVA; I.V.A.; IVA:"),
    included=_listed("IVA incluido; incluye IVA; Con IVA"),
    tax_table=_listed("Tipo; Base; IVA; Importe"),
    discount=_listed("Descuento; Dto.; Oferta; Vale"),
    cash=_listed("Efectivo; EFECTIVO; Entregado"),
    card=_listed("Tarjeta; TARJETA; Tarjeta bancaria; Sin contacto"),
    change=_listed("Cambio; CAMBIO; Vuelta; Devolver"),
    date=_listed("Fecha; Fecha:; FECHA; Emitido"),
    deadline=_listed("Cambios hasta; Oferta hasta; Vale hasta"),
    number=_listed("Ticket; Factura; Mesa; Caja; Pedido; Factura simplificada"),
    staff=_listed("Cajero; Le atendio; Camarero; Vendedor"),
    item_heads=(("Producto", "Cant.", "Precio", "Importe"), ("Articulo", "Uds", "P.V.P.", "Total")),
    counts=_listed("Articulos; Total articulos; Unidades"),
    titles=_listed("FACTURA; Ticket de compra; Bienvenidos a; Copia cliente; Recibo"),
    closings=_listed(
        "Gracias!; Gracias por su visita; Vuelva pronto; Buen dia; Guarde este ticket; IVA incluido en precios; "
        "Aceptamos tarjeta; No se admiten cambios; Usted ha ahorrado"
    ),
    businesses=_listed(
        "Supermercado; Panaderia; Farmacia; Libreria; S.L.; S.A.; Bodega; Taberna; Restaurante; Hermanos; Fruteria; "
        "Bar; Ferreteria; Hotel"
    ),
    streets=_listed("Calle; C/; Avenida; Avda.; Plaza; Paseo; Camino"),
    cities=_listed("Madrid; Sevilla; Bilbao; Valencia; Toledo; Burgos; Murcia; Granada; Vigo; La Coruña; Soria"),
    months=_listed(
        "enero; febrero; marzo; abril; mayo; junio; julio; agosto; septiembre; octubre; noviembre; diciembre"
    ),
)

ITALIAN: Final = Language(
    total=_listed("Totale; TOTALE; Totale complessivo; TOTALE EURO; Importo dovuto; Da pagare"),
    subtotal=_listed("Subtotale; Imponibile; SUBTOTALE; Totale netto"),
    tax=_listed("IVA; I.V.A.; Imposta IVA"),
    included=_listed("di cui IVA; IVA inclusa; DI CUI IVA"),
    tax_table=_listed("Aliq.; Imponibile; IVA; Lordo"),
    discount=_listed("Sconto; Buono; Abbuono; Promozione"),
    cash=_listed("Contanti; CONTANTI; Pagamento contante; Contante"),
    card=_listed("Carta; Bancomat; Carta di credito; Pagamento elettronico; BANCOMAT"),
    change=_listed("Resto; RESTO; Resto contanti"),
    date=_listed("Data; Data:; DATA; Emesso il"),
    deadline=_listed("Cambio entro; Valido fino al; Offerta fino al"),
    number=_listed("Scontrino; Fattura; Tavolo; Cassa; Documento n.; Ordine"),
    staff=_listed("Cassiere; Servito da; Operatore; Cameriere"),
    item_heads=(("Articolo", "Q.ta", "Prezzo", "Importo"), ("Descrizione", "Pz", "Prezzo", "Totale")),
    counts=_listed("Articoli; Numero pezzi; Totale pezzi"),
    titles=_listed("SCONTRINO; Ricevuta; Documento commerciale; Benvenuti da; Copia cliente"),
    closings=_listed(
        "Grazie!; Grazie e arrivederci; Buona giornata; Conservare lo scontrino; Prezzi IVA inclusa; "
        "Si accettano carte; Arrivederci; Oggi ha risparmiato"
    ),
    businesses=_listed(
        "Trattoria; Panificio; Farmacia; Libreria; S.r.l.; S.p.A.; Osteria; Pizzeria; Gelateria; Ferramenta; "
        "e Figli; Enoteca; Hotel; Bar"
    ),
    streets=_listed("Via; Viale; Piazza; Corso; Largo; Vicolo"),
    cities=_listed("Roma; Milano; Torino; Napoli; Bologna; Verona; Siena; Pisa; Lucca; Genova; Lugano; Trento"),
    months=_listed(
        "gennaio; febbraio; marzo; aprile; maggio; giugno; luglio; agosto; settembre; ottobre; novembre; dicembre"
    ),
)

DUTCH: Final = Language(
    total=_listed("Totaal; TOTAAL; Te betalen; Totaalbedrag; Eindtotaal"),
    subtotal=_listed("Subtotaal; SUBTOTAAL; Netto; Bedrag excl."),
    tax=_listed("BTW; btw; BTW hoog; BTW laag"),
    included=_listed("incl. BTW; waarvan BTW; inclusief btw"),
    tax_table=_listed("Tarief; Excl.; BTW; Incl."),
    discount=_listed("Korting; Bonus; Tegoedbon; Actie"),
    cash=_listed("Contant; CONTANT; Contant betaald"),
    card=_listed("Pin; PIN; Pinpas; Betaalpas; Maestro"),
    change=_listed("Wisselgeld; Terug; Retour"),
    date=_listed("Datum; Datum:; DATUM; Verkocht op"),
    deadline=_listed("Ruilen tot; Geldig tot; Actie tot"),
    number=_listed("Bon; Factuur; Bonnr.; Tafel; Kassa; Bestelling"),
    staff=_listed("Kassier; Bediend door; Medewerker; U werd geholpen door"),
    item_heads=(("Artikel", "Aantal", "Prijs", "Bedrag"), ("Omschrijving", "Stuks", "Prijs", "Totaal")),
    counts=_listed("Aantal artikelen; Artikelen; Totaal artikelen"),
    titles=_listed("KASSABON; Factuur; Welkom bij; Klantbon; Bon"),
    closings=_listed(
        "Bedankt!; Bedankt voor uw bezoek; Tot ziens; Fijne dag; Bewaar deze bon; Prijzen incl. BTW; "
        "Pinnen ja graag; U bespaarde vandaag; Ruilen met bon"
    ),
    businesses=_listed(
        "B.V.; Bakker; Slager; Apotheek; Boekhandel; Eetcafe; Drogist; Markt; Bloemen; en Zonen; Snackbar; Hotel; Kaas"
    ),
    streets=_listed("straat; laan; plein; weg; gracht; kade; dijk"),
    cities=_listed("Amsterdam; Utrecht; Delft; Leiden; Breda; Arnhem; Zwolle; Gent; Brugge; Gouda; Tilburg"),
    months=_listed(
        "januari; februari; maart; april; mei; juni; juli; augustus; september; oktober; november; december"
    ),
)

DateFormat = Callable[[date, Language], str]


def _short(day: date, language: Language) -> str:
    name = language.months[day.month - 1]
    return name[: 4 if name.startswith("jui") else 3]


DAY_FIRST: Final[tuple[DateFormat, ...]] = (
    lambda day, _: f"{day:%d/%m/%Y}",
    lambda day, _: f"{day:%d/%m/%y}",
    lambda day, _: f"{day:%d-%m-%Y}",
    lambda day, language: f"{day.day} {language.months[day.month - 1]} {day.year}",
    lambda day, language: f"{day.day:02d} {_short(day, language)} {day.year}",
    lambda day, language: f"{day.day:02d}-{_short(day, language)}-{day:%y}",
    lambda day, _: day.isoformat(),
)
POINTS: Final[tuple[DateFormat, ...]] = (
    lambda day, _: f"{day:%d.%m.%Y}",
    lambda day, _: f"{day:%d.%m.%Y}",
    lambda day, _: f"{day:%d.%m.%y}",
    lambda day, language: f"{day.day}. {language.months[day.month - 1]} {day.year}",
    lambda day, _: day.isoformat(),
)
MONTH_FIRST: Final[tuple[DateFormat, ...]] = (
    lambda day, _: f"{day:%m/%d/%Y}",
    lambda day, _: f"{day:%m/%d/%y}",
    lambda day, _: f"{day.month}/{day.day}/{day.year}",
    lambda day, language: f"{language.months[day.month - 1]} {day.day}, {day.year}",
    lambda day, language: f"{_short(day, language)} {day.day:02d}, {day.year}",
    lambda day, language: f"{_short(day, language)} {day.day:02d} {day.year}",
    lambda day, _: day.isoformat(),
)


@dataclass(frozen=True)
class Locale:
    """A country: `signs` are its currency's sign where there is one; `added_tax` where prices come without tax."""

    language: Language
    currency: str
    sign: str
    decimal: str
    thousands: str
    dates: tuple[DateFormat, ...]
    rates: tuple[str, ...]
    added_tax: bool = False
    sign_first: bool = True


LOCALES: Final = (
    Locale(ENGLISH, "GBP", "£", ".", ",", DAY_FIRST, ("20%", "20.00%", "5%", "20")),
    Locale(ENGLISH, "GBP", "£", ".", ",", DAY_FIRST, ("20%", "20.0%", "5.0%")),
    Locale(ENGLISH, "USD", "$", ".", ",", MONTH_FIRST, ("8.25%", "7%", "6.5%", "9.75%"), added_tax=True),
    Locale(ENGLISH, "USD", "$", ".", ",", MONTH_FIRST, ("8.875%", "4%", "6.00%"), added_tax=True),
    Locale(ENGLISH, "CAD", "$", ".", ",", DAY_FIRST, ("5%", "13%"), added_tax=True),
    Locale(ENGLISH, "EUR", "€", ".", ",", DAY_FIRST, ("23%", "13.5%")),
    Locale(GERMAN, "EUR", "€", ",", ".", POINTS, ("19%", "7%", "19,00%", "7,0%"), sign_first=False),
    Locale(GERMAN, "EUR", "€", ",", ".", POINTS, ("19%", "7%", "20%", "10%"), sign_first=False),
    Locale(GERMAN, "CHF", "", ".", "'", POINTS, ("8.1%", "2.6%", "7.7%")),
    Locale(FRENCH, "EUR", "€", ",", " ", DAY_FIRST, ("20%", "10%", "5,5%", "20,00%"), sign_first=False),
    Locale(SPANISH, "EUR", "€", ",", ".", DAY_FIRST, ("21%", "10%", "4%", "21,00%"), sign_first=False),
    Locale(ITALIAN, "EUR", "€", ",", ".", DAY_FIRST, ("22%", "10%", "4%", "22,00%"), sign_first=True),
    Locale(DUTCH, "EUR", "€", ",", ".", DAY_FIRST, ("21%", "9%", "21,0%"), sign_first=True),
)
"""Where receipts come from; those with two entries come more often."""

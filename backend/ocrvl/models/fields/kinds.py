"""Currencies and means of payment by what is printed of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_CODES: Final = frozenset(
    re.findall(
        r"\w+",
        "AED ARS AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR ISK JPY KES KRW MAD MXN MYR "
        "NGN NOK NZD PEN PHP PKR PLN QAR RON RSD RUB SAR SEK SGD THB TND TRY TWD UAH USD UYU VND ZAR",
    )
)
"""Of ISO 4217 those of countries with most receipts; three capitals are more often no currency."""

_SIGNS: Final[Mapping[str, str | None]] = MappingProxyType(
    {
        "€": "EUR",
        "£": "GBP",
        "US$": "USD",
        "CA$": "CAD",
        "C$": "CAD",
        "AU$": "AUD",
        "A$": "AUD",
        "NZ$": "NZD",
        "HK$": "HKD",
        "S$": "SGD",
        "R$": "BRL",
        "$": None,
        "¥": None,
        "₹": "INR",
        "₩": "KRW",
        "₺": "TRY",
        "₽": "RUB",
        "₫": "VND",
        "₪": "ILS",
        "฿": "THB",
        "zł": "PLN",
        "kr": None,
        "SFr": "CHF",
        "Fr.": "CHF",
    }
)
"""Signs before others that are their ends; None for a sign of several currencies."""

_WORDS: Final = re.compile(r"\b(euros?)\b", re.IGNORECASE)
_FOUND: Final = re.compile("|".join([*(rf"\b{code}\b" for code in sorted(_CODES)), *map(re.escape, _SIGNS)]))

_PAYMENTS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        kind: re.compile(rf"(?:^|\W)(?:{names})", re.IGNORECASE)
        for kind, names in {
            "voucher": "gift ?card|voucher|gutschein|bon d|ch[eè]que cadeau|buono|vale|cadeaubon|tegoedbon",
            "mobile": "apple ?pay|google ?pay|samsung ?pay|paypal|alipay|wechat|twint|bizum|satispay",
            "transfer": "bank transfer|transfer|überweisung|virement|transferencia|bonifico|overschrijving|sepa",
            "cash": "cash|bar\\b|bargeld|barzahlung|esp[eè]ces|comptant|efectivo|contant|gegeben|entregado|paid cash",
            "card": "visa|master ?card|maestro|amex|american express|v ?pay|ec\\b|ec-|girocard|cards?\\b|credit|debit"
            "|karte|kredit|kartenzahlung|carte|cb\\b|tarjeta|carta|bancomat|pin\\b|pinpas|betaalpas|contactless"
            "|sans contact|sin contacto|chip|discover|diners|elettronico|pagamento elettronico",
        }.items()
    }
)
"""Kinds in the order in which they are looked for: a gift card is no card."""


def find_currency(text: str) -> tuple[str, str | None] | None:
    """The first sign or code of a currency in a text, and its ISO 4217 code where it is that of one currency alone.

    >>> find_currency("12,50 €"), find_currency("$9"), find_currency("9")
    (('€', 'EUR'), ('$', None), None)
    """
    if found := _FOUND.search(text):
        return found[0], found[0] if found[0] in _CODES else _SIGNS[found[0]]
    if found := _WORDS.search(text):
        return found[0], "EUR"
    return None


def find_payment(text: str) -> str | None:
    """The kind of a means of payment, None where its words are of none that is known.

    >>> find_payment("VISA **** 1234"), find_payment("Gift card"), find_payment("Shells")
    ('card', 'voucher', None)
    """
    return next((kind for kind, pattern in _PAYMENTS.items() if pattern.search(text)), None)

"""What is printed on a drawn receipt, as far as it is random: names, addresses, things, amounts and days."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from training.fields.locales import ENGLISH, Locale
from training.nano.phrases import PRODUCTS, SHOPS
from training.nano.texts import Split

_CENT = Decimal("0.01")
_FIRST_DAY = date(2008, 1, 1)


@dataclass(frozen=True)
class Money:
    """How a receipt writes amounts; `sign` is glued to them, before or after, where `is_glued`."""

    decimal: str
    thousands: str
    sign: str
    sign_first: bool

    def write(self, amount: Decimal, *, is_glued: bool = False) -> str:
        """The amount with two decimals, as printed."""
        text = f"{abs(amount):,.2f}".replace(",", "t").replace(".", self.decimal).replace("t", self.thousands)
        minus = "-" if amount < 0 else ""
        if not is_glued:
            return minus + text
        return f"{minus}{self.sign}{text}" if self.sign_first else f"{minus}{text}{self.sign}"


class ReceiptTexts:
    """Draws texts of one locale from a word list; the same `rng` state gives the same texts.

    Of built-in products and shops it takes those of its `split`, so that what is held out is never trained on.
    """

    def __init__(self, rng: Random, words: Sequence[str], split: Split, locale: Locale) -> None:
        self.rng = rng
        self.words = words
        self.split = split
        self.locale = locale
        self.language = locale.language
        self.products = _part(PRODUCTS, split)
        self.shops = _part(SHOPS, split)

    def pick(self, options: Sequence[str]) -> str:
        """One of them."""
        return self.rng.choice(options)

    def word(self) -> str:
        """A word of the list without an apostrophe, capitalised."""
        return self.rng.choice(self.words).capitalize()

    def company(self) -> str:
        """The name of a shop."""
        rng, business = self.rng, self.pick(self.language.businesses)
        form = rng.random()
        if form < 0.1 and self.language is ENGLISH:
            name = self.pick(self.shops)
        elif form < 0.55:
            name = f"{self._name()} {business}"
        elif form < 0.7 and business[0].isupper():
            name = f"{business} {self._name()}"
        elif form < 0.85:
            name = f"{self.word()} & {self.word()}"
        else:
            name = f"{self.word()}'s" if self.language is ENGLISH and rng.random() < 0.5 else self._name()
        return name.upper() if rng.random() < 0.35 and name.isascii() else name

    def slogan(self) -> str:
        """A line that is no field, above or below the name."""
        rng = self.rng
        form = rng.random()
        if form < 0.35:
            return self.pick(self.language.titles)
        if form < 0.6:
            words = [rng.choice(self.words).lower() for _ in range(rng.randint(2, 4))]
            return " ".join(words).capitalize() + rng.choice(("", "", "!", "."))
        return f"{rng.choice(('Store', 'Filiale', 'Branch', 'No.', 'Kasse', 'Ref', 'ID'))} {rng.randint(1, 9999)}"

    def street(self) -> str:
        """A street with a number, in the order of its country."""
        rng, language = self.rng, self.language
        kind, name, number = self.pick(language.streets), self.word(), self._house()
        if language is ENGLISH:
            return f"{number} {name} {kind}"
        if kind[0].isupper():
            return f"{kind} {name} {number}" if rng.random() < 0.7 else f"{kind} {name}, {number}"
        if kind.startswith(("rue", "avenue", "place", "boulevard", "quai", "impasse")):
            return f"{number} {kind} {name}" if rng.random() < 0.6 else f"{number}, {kind} {name}"
        if rng.random() < 0.3:
            return f"{name} {kind.capitalize()} {number}"
        return f"{name}{kind} {number}"

    def town(self) -> str:
        """A town with its postal code."""
        rng = self.rng
        city = self.pick(self.language.cities) if rng.random() < 0.5 else self.word()
        if self.locale.currency == "USD":
            state = self.pick(("IL", "NY", "CA", "TX", "OR", "WA", "MA", "FL", "OH"))
            return f"{city}, {state} {rng.randint(10000, 99999)}"
        if self.locale.currency == "CAD":
            return f"{city} {self.pick(('ON', 'BC', 'QC', 'AB'))} {self._letters('A1A')} {self._letters('1A1')}"
        if self.language is ENGLISH:
            return f"{city} {self._letters(rng.choice(('A1', 'AA1', 'AA11')))} {self._letters('1AA')}"
        code = rng.randint(1000, 9999) if self.locale.currency == "CHF" else rng.randint(10000, 99999)
        return f"{code} {city}" if rng.random() < 0.8 else f"{city} {code}"

    def contact(self) -> str:
        """A telephone number, a tax number, or a page."""
        rng = self.rng
        form = rng.randrange(5)
        if form == 0:
            return f"{rng.choice(('Tel', 'Tel.', 'Tel:', 'Phone', 'Fon'))} {self._digits(4)} {self._digits(6)}"
        if form == 1:
            return f"{rng.choice(('VAT', 'VAT No', 'USt-IdNr.', 'P.IVA', 'NIF', 'SIRET', 'BTW'))} {self._digits(9)}"
        if form == 2:
            return f"www.{self.word().lower()}.{rng.choice(('com', 'de', 'fr', 'net'))}"
        if form == 3:
            return f"({self._digits(3)}) {self._digits(3)}-{self._digits(4)}"
        return f"{self.word().lower()}@{self.word().lower()}.com"

    def person(self) -> str:
        """A first name, or initials."""
        return self.word() if self.rng.random() < 0.7 else f"{self.word()[0]}. {self.word()}"

    def product(self) -> str:
        """Something that is sold; one to three words."""
        rng = self.rng
        form = rng.random()
        if form < 0.3:
            name = self.pick(self.products)
        elif form < 0.36:
            # what is sold can be called as what pays for it or sums it up
            other = self.pick((*self.language.cash, *self.language.card, *self.language.total)).lower()
            name = f"{self.word()} {other.rstrip(':')}"
        else:
            count = rng.choice((1, 1, 2, 2, 3))
            name = " ".join(rng.choice(self.words).lower() for _ in range(count)).capitalize()
        if rng.random() < 0.12:
            name += rng.choice((" 500g", " 1kg", " 1l", " 250ml", " XL", " 6pk", " 0,5l", " 12er", " 2 pack", " 40%"))
        casing = rng.random()
        if casing < 0.25 and name.isascii():
            return name.upper()
        return name.title() if casing < 0.4 and name.isascii() else name

    def price(self) -> Decimal:
        """A price of one thing."""
        rng = self.rng
        top = rng.choice((3, 10, 30, 30, 100, 2000))
        if self.split is Split.TRAINING and self.locale.thousands == " " and rng.random() < 0.3:
            # an amount of two words is seldom, and has to be learnt
            top = 4000
        cents = Decimal(rng.randrange(20, 100 * top))
        amount = cents * _CENT
        return amount.quantize(Decimal(1)) - _CENT if rng.random() < 0.3 and amount > 2 else amount

    def day(self) -> date:
        """A day of the last decades."""
        return _FIRST_DAY + timedelta(days=self.rng.randrange(365 * 24))

    def write_day(self, day: date) -> str:
        """The day as its country writes it; months in words have no accented capitals."""
        return self.rng.choice(self.locale.dates)(day, self.language)

    def time(self) -> str:
        """A time of day."""
        rng = self.rng
        clock = f"{rng.randrange(24):02d}:{rng.randrange(60):02d}"
        return clock + (f":{rng.randrange(60):02d}" if rng.random() < 0.3 else "")

    def money(self) -> Money:
        """How this receipt writes its amounts."""
        locale = self.locale
        thousands = locale.thousands if self.rng.random() < 0.7 else ""
        first = locale.sign_first if self.rng.random() < 0.85 else not locale.sign_first
        return Money(locale.decimal, thousands, locale.sign, first)

    def code(self) -> str:
        """The number of an article."""
        return self._digits(self.rng.choice((3, 4, 5, 6, 8, 13)))

    def receipt_number(self) -> str:
        """What tells one receipt from another."""
        rng = self.rng
        return rng.choice(
            (
                self._digits(rng.randint(2, 8)),
                f"#{self._digits(4)}",
                f"{self._letters('AA')}-{self._digits(5)}",
                f"{self._digits(4)}/{self._digits(3)}",
            )
        )

    def card_number(self) -> str:
        """The visible end of one."""
        return self.rng.choice(("****", "XXXX", "**** ****", "************")) + f" {self._digits(4)}"

    def _name(self) -> str:
        return self.word() if self.rng.random() < 0.5 else f"{self.word()} {self.word()}"

    def _house(self) -> str:
        return f"{self.rng.randint(1, 299)}{self.rng.choice(('', '', '', '', 'a', 'B'))}"

    def _digits(self, count: int) -> str:
        return "".join(str(self.rng.randrange(10)) for _ in range(count))

    def _letters(self, form: str) -> str:
        """`A` becomes a letter, all else a digit."""
        return "".join(
            self.rng.choice("ABCDEFGHJKLMNPRSTUWXYZ") if sign == "A" else str(self.rng.randrange(10)) for sign in form
        )


def _part(phrases: Sequence[str], split: Split) -> list[str]:
    """Of built-in phrases one in five, by its checksum, is held out."""
    held_out = split is Split.HELD_OUT
    return [phrase for phrase in phrases if (zlib.crc32(phrase.encode()) % 5 == 0) is held_out]

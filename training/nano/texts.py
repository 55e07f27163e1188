"""The random text of the nano checkpoint's world: words, numbers, prices, dates, codes, and parts of receipts."""

from __future__ import annotations

import re
import string
import zlib
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from random import Random

from training.nano.phrases import CLOSINGS, PRODUCTS, SHOPS, STREETS, SUMS

CURRENCIES = ("", "", "", "$", "$", "£", "€")

_MARKS = string.punctuation
_SYMBOLS = string.ascii_letters + string.digits * 2 + _MARKS + "£€°©×éèüöäñç"
_LOOKALIKES = "0O1lI5S2Z8B6G9gqrnmuvwy|!ij;:.,'`cCoOpPsSxXzZ"
_VOWELS, _CONSONANTS = "aeiou", "bcdfghjklmnpqrstvwxyz"


class WordsMissing(RuntimeError):
    """The word list is not on this machine; the message names the package that has it."""


class Split(Enum):
    """Which part of the word list: what training draws from, or what only scoring does."""

    TRAINING = "training"
    HELD_OUT = "held-out"


def read_words(split: Split, path: Path = Path("/usr/share/dict/words")) -> list[str]:
    """English words of 2 to 14 letters; one in twenty, by its checksum, is held out."""
    if not path.is_file():
        raise WordsMissing(f"{path} not found: apt-get install wamerican")
    words = [word for word in path.read_text("utf-8").split() if re.fullmatch(r"[A-Za-zéèüöäñç]{2,14}", word)]
    held_out = split is Split.HELD_OUT
    return [word for word in words if (zlib.crc32(word.lower().encode()) % 20 == 0) is held_out]


class TextSource:
    """Draws texts from a word list; the same `rng` state gives the same texts."""

    def __init__(self, rng: Random, words: Sequence[str]) -> None:
        self.rng = rng
        self.words = words

    def line(self) -> str:
        """Any single line, of one to some forty characters."""
        pick = self.rng.random()
        if pick < 0.35:
            return self.phrase(self.rng.randint(1, 7))
        if pick < 0.50:
            return " ".join(self.invented_word() for _ in range(self.rng.randint(1, 5)))
        if pick < 0.75:
            return " ".join(self.token() for _ in range(self.rng.choice((1, 1, 2, 3, 4))))
        if pick < 0.92:
            return self.symbols(self.rng.randint(1, 30))
        return f"{self.phrase(self.rng.randint(1, 3))} {self.price()}"

    def phrase(self, count: int) -> str:
        """`count` words of the list, in one of the usual casings, sometimes with punctuation."""
        rng = self.rng
        words = [self.words[int(rng.random() * len(self.words))] for _ in range(count)]
        casing = rng.random()
        if casing < 0.2:
            words = [_upper(word) for word in words]
        elif casing < 0.4:
            words = [_capitalized(word) for word in words]
        elif casing < 0.7:
            words = [_capitalized(words[0]), *(word.lower() for word in words[1:])]
        if rng.random() < 0.35:
            place = rng.randrange(count)
            before, after = rng.choice(
                ("|,", "|.", "|.", "|:", "|;", "|!", "|?", "(|)", '"|"', "'|'", "|'s", "|-", "&|", "#|", "|*")
            ).split("|")
            words[place] = f"{before}{words[place]}{after}"
        if rng.random() < 0.08:
            words[-1] = f"{words[-1]}-{words[0].lower()}"
        return " ".join(words)

    def invented_word(self) -> str:
        """Letters that form no word: what cures the model of guessing."""
        rng = self.rng
        length = rng.randint(1, 10)
        if rng.random() < 0.5:
            word = "".join(rng.choice(string.ascii_lowercase) for _ in range(length))
        else:
            word = "".join(rng.choice(_VOWELS if place % 2 else _CONSONANTS) for place in range(length))
        casing = rng.random()
        return word.upper() if casing < 0.2 else word.capitalize() if casing < 0.4 else word

    def symbols(self, length: int) -> str:
        """Any characters of the world at random; a third of the time only those that look alike."""
        rng = self.rng
        alphabet = _LOOKALIKES if rng.random() < 0.33 else _SYMBOLS
        spaces = 0.12 if rng.random() < 0.6 else 0.0
        text = "".join(" " if rng.random() < spaces else rng.choice(alphabet) for _ in range(length))
        return " ".join(text.split()) or "-"

    def token(self) -> str:
        """One thing that is not a word: a number, price, date, time, phone number, address or code."""
        kinds = (
            self._count,
            self._thousands,
            self._decimal,
            self.price,
            self.price,
            self._percentage,
            self.date,
            self.date,
            self._time,
            self._phone_abroad,
            self._phone,
            self._mail_address,
            self._web_address,
            self._code,
            self._long_number,
            self._ticket,
        )
        return kinds[self.rng.randrange(len(kinds))]()

    def digits(self, count: int) -> str:
        """`count` random digits."""
        return "".join(self.rng.choice(string.digits) for _ in range(count))

    def price(self) -> str:
        """An amount of money, with or without its currency."""
        rng = self.rng
        amount = rng.randrange(10 ** rng.choice((3, 3, 3, 4, 4, 5))) / 100
        currency = rng.choice(CURRENCIES)
        if rng.random() < 0.1:
            return f"{amount:.2f}".replace(".", ",") + (f" {currency}" if currency else "")
        return f"{'-' if rng.random() < 0.06 else ''}{currency}{amount:,.2f}"

    def date(self) -> str:
        """A date in one of the usual spellings."""
        rng = self.rng
        day, month, year = rng.randint(1, 31), rng.randint(1, 12), rng.randint(1970, 2039)
        name = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")[month - 1]
        return rng.choice(
            (
                f"{year}-{month:02d}-{day:02d}",
                f"{day:02d}.{month:02d}.{year}",
                f"{month}/{day}/{year}",
                f"{day} {name} {year}",
                f"{day:02d}/{month:02d}/{year % 100:02d}",
            )
        )

    def header(self) -> str:
        """A line at the head of a receipt: shop, street, telephone, date and time, number."""
        rng = self.rng
        pick = rng.randrange(7)
        if pick <= 1:
            return rng.choice(SHOPS) if rng.random() < 0.5 else self.phrase(rng.randint(1, 3))
        if pick == 2:
            return f"{rng.randint(1, 299)} {rng.choice(STREETS)}"
        if pick == 3:
            return f"Tel. {self.digits(3)} {self.digits(rng.randint(4, 7))}"
        if pick == 4:
            return f"{self.date()} {rng.randrange(24):02d}:{rng.randrange(60):02d}"
        if pick == 5:
            return f"{rng.choice(('Receipt', 'Invoice', 'Order', 'Table', 'No.'))} {self.token()}"
        return self.line()

    def item(self) -> str:
        """The left side of a receipt's row."""
        rng = self.rng
        pick = rng.random()
        name = rng.choice(PRODUCTS) if pick < 0.4 else self.phrase(rng.randint(1, 3)) if pick < 0.85 else self.line()
        quantity = rng.random()
        if quantity < 0.15:
            return f"{rng.randint(1, 12)} x {name}"
        if quantity < 0.25:
            return f"{rng.randint(1, 12)} {name}"
        return name

    def sum_name(self) -> str:
        """The left side of a row that adds up."""
        return self.rng.choice(SUMS)

    def closing(self) -> str:
        """A line at the foot of a receipt."""
        return self.rng.choice(CLOSINGS) if self.rng.random() < 0.6 else self.line()

    def _count(self) -> str:
        return str(self.rng.randrange(10 ** self.rng.randint(1, 6)))

    def _thousands(self) -> str:
        return f"{self.rng.randrange(10**5):,}"

    def _decimal(self) -> str:
        return f"{self.rng.uniform(0, 100):.{self.rng.randint(1, 3)}f}"

    def _percentage(self) -> str:
        return f"{self.rng.randrange(101)}%"

    def _time(self) -> str:
        return f"{self.rng.randrange(24):02d}:{self.rng.randrange(60):02d}"

    def _phone_abroad(self) -> str:
        return f"+{self.rng.randint(1, 99)} {self.digits(3)} {self.digits(3)} {self.digits(4)}"

    def _phone(self) -> str:
        digits = self.digits
        return self.rng.choice((f"({digits(3)}) {digits(3)}-{digits(4)}", f"0{digits(3)}/{digits(6)}"))

    def _mail_address(self) -> str:
        rng = self.rng
        return f"{rng.choice(self.words).lower()}@{rng.choice(self.words).lower()}.{rng.choice(('com', 'org'))}"

    def _web_address(self) -> str:
        rng = self.rng
        return f"www.{rng.choice(self.words).lower()}.{rng.choice(('com', 'net', 'de', 'co.uk'))}"

    def _code(self) -> str:
        letters = "".join(self.rng.choice(string.ascii_uppercase) for _ in range(self.rng.randint(1, 4)))
        return f"{letters}-{self.digits(4)}"

    def _long_number(self) -> str:
        return self.digits(self.rng.randint(4, 16))

    def _ticket(self) -> str:
        return f"#{self.digits(self.rng.randint(1, 6))}"


def _upper(word: str) -> str:
    """In capitals, where the world has them: it has no accented ones."""
    return word.upper() if word.isascii() else word


def _capitalized(word: str) -> str:
    return word.capitalize() if word[:1].isascii() else word

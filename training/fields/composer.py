"""Composes a receipt: the rows of its head, its items, its sums and its foot, every word with its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random

from ocrvl.models.fields.labels import Label
from training.fields.layouts import DatePlace, Header, Items, Layout, Payment, Sums, pick_layout
from training.fields.rows import Cell, RowPlan, Token, words
from training.fields.texts import ReceiptTexts
from training.nano.texts import Split

_CENT = Decimal("0.01")


@dataclass
class Truth:
    """What the fields of a receipt are.

    `values` are typed as the JSON has them, without those that are not printed; items have name, quantity and price.
    """

    values: dict[str, str | None] = field(default_factory=dict)
    items: list[tuple[str, str | None, str]] = field(default_factory=list)


class Composer:
    """Composes one receipt of a layout."""

    def __init__(self, rng: Random, texts: ReceiptTexts, split: Split) -> None:
        self.rng = rng
        self.texts = texts
        self.language = texts.language
        self.layout: Layout = pick_layout(rng, split, is_tax_added=texts.locale.added_tax)
        self.money = texts.money()
        self.truth = Truth()
        self.rows: list[RowPlan] = []
        self.items_are_glued = rng.random() < 0.2 and bool(texts.locale.sign)
        self.sums_are_glued = (self.items_are_glued or rng.random() < 0.35) and bool(texts.locale.sign)
        self.code = self._currency_word()
        self.code_is_first = texts.rng.random() < 0.4

    def compose(self) -> list[RowPlan]:
        """All rows from top to bottom."""
        self._head()
        self._before_items()
        total = self._items()
        self._sums(total)
        self._after_sums()
        return self.rows

    # the head

    def _head(self) -> None:
        rng, texts = self.rng, self.texts
        self._names()
        lines = [texts.street(), texts.town()]
        if rng.random() < 0.15:
            lines.insert(0, f"{texts.word()} {rng.choice(('House', 'Center', 'Park', 'Arcade'))}")
        if rng.random() < 0.2:
            lines = [f"{lines[-2]}, {lines[-1]}"]
        if rng.random() < 0.06:
            lines = []
        if lines:
            self.truth.values["address"] = ", ".join(lines)
        address = [words(line, Label.ADDRESS) for line in lines]
        others = [words(texts.contact()) for _ in range(rng.choice((0, 1, 1, 2)))]
        if self.layout.header is Header.COLUMNS:
            beside = [words(self._number()), words(texts.contact()), words(f"{rng.randint(1, 99)}")]
            beside = beside[: rng.randint(1, 3)]
            for index in range(max(len(address), len(beside))):
                cells = [Cell(address[index])] if index < len(address) else []
                cells += [Cell(beside[index], 1.0, "right")] if index < len(beside) else []
                self.rows.append(RowPlan(cells))
            self.rows += [RowPlan([Cell(line)]) for line in others]
            return
        self.rows += [RowPlan([self._aligned(line)]) for line in [*address, *others]]

    def _names(self) -> None:
        """The shop's name; another line that could be one as well shows by its look alone that it is not."""
        rng, texts = self.rng, self.texts
        company = texts.company()
        scale, is_bold = rng.choice((1.0, 1.0, 1.15, 1.3)), rng.random() < 0.3
        name = RowPlan([self._aligned(words(company, Label.COMPANY))], scale, is_bold)
        self.truth.values["company"] = company
        form = rng.random()
        if form < 0.55:
            name.around = rng.uniform(0.5, 1.2)
            name.on_band = form < 0.45
        if form < 0.3:
            # two names of one size and with one space around them: the one on the coloured band is the shop's
            head = [name, RowPlan([self._aligned(words(texts.company()))], scale, is_bold, around=name.around)]
            rng.shuffle(head)
        else:
            head = [name]
            if rng.random() < 0.25:
                head.insert(0, RowPlan([self._aligned(words(texts.slogan()))]))
            if rng.random() < 0.3:
                head.append(RowPlan([self._aligned(words(texts.slogan()))]))
        self.rows += head

    def _aligned(self, tokens: list[Token]) -> Cell:
        return Cell(tokens, 0.5, "centre") if self.layout.header is Header.CENTRED else Cell(tokens)

    def _number(self) -> str:
        texts, rng = self.texts, self.rng
        colon = rng.choice(("", "", ":"))
        return f"{texts.pick(self.language.number).rstrip(':')}{colon} {texts.receipt_number()}"

    # number, date, cashier

    def _before_items(self) -> None:
        rng, texts = self.rng, self.texts
        rows: list[RowPlan] = []
        place = self.layout.date
        if place is DatePlace.BESIDE_NUMBER:
            rows.append(RowPlan([Cell(words(self._number())), Cell(self._date(is_alone=True), 1.0, "right")]))
        elif rng.random() < 0.6:
            rows.append(RowPlan([Cell(words(self._number()))]))
        if place is DatePlace.TOP:
            rows.append(RowPlan([Cell(self._date())]))
        elif place is DatePlace.TOP_ALONE:
            cells = [Cell(self._date(is_alone=True))]
            if rng.random() < 0.6:
                cells.append(Cell(words(texts.time()), 1.0, "right"))
            rows.append(RowPlan(cells))
        if rng.random() < 0.4:
            staff = words(f"{texts.pick(self.language.staff)}: {texts.person()}".replace("::", ":"))
            rows.append(RowPlan([Cell(staff)]))
        rng.shuffle(rows)
        if rows:
            rows[0].space = rng.uniform(0, 0.8)
        self.rows += rows
        self._ruled(0.4)

    def _date(self, *, is_alone: bool = False) -> list[Token]:
        rng, texts = self.rng, self.texts
        day = texts.day()
        self.truth.values["date"] = day.isoformat()
        tokens = words(texts.write_day(day), Label.DATE)
        if is_alone:
            return tokens
        before = words(texts.pick(self.language.date)) if rng.random() < 0.6 else []
        after = words(texts.time()) if rng.random() < 0.6 else []
        return [*before, *tokens, *after] if rng.random() < 0.9 else [*before, *after, *tokens]

    def _ruled(self, chance: float) -> None:
        """A rule: drawn, or printed with signs."""
        if self.rng.random() < chance:
            if self.rng.random() < 0.7:
                self.rows.append(RowPlan(has_rule=True))
            else:
                sign = self.rng.choice(("-", "=", "*", "- "))
                self.rows.append(RowPlan([Cell(words(sign * self.rng.randint(12, 24)), 0.5, "centre")]))

    # items

    def _items(self) -> Decimal:
        rng, style = self.rng, self.layout.items
        if rng.random() < 0.35 or style is Items.FOUR_COLUMNS:
            self._item_heads()
        count = min(14, 1 + int(rng.expovariate(1 / 4)))
        tax_letter = rng.random() < 0.15
        total = Decimal(0)
        for _ in range(count):
            quantity = rng.choice((1, 1, 1, 2, 3, 4, 6, 10, 12))
            unit = self.texts.price()
            price = quantity * unit
            rows, shown = self._item(style, self.texts.product(), quantity, unit, price)
            if tax_letter:
                rows[-1].cells[-1].tokens += words(rng.choice("AB12*"))
            self.rows += rows
            self._add_item(rows, shown, price)
            total += price
        if rng.random() < 0.15 and total > 5:
            total -= self._discount(total)
        return total

    def _item(
        self, style: Items, name: str, quantity: int, unit: Decimal, price: Decimal
    ) -> tuple[list[RowPlan], str | None]:
        """The rows of an item, and its quantity as far as it is printed."""
        rng = self.rng
        label, times = Label.ITEM_NAME, rng.choice(("x", "x", "X", "*"))
        amount = Cell(words(self._amount(price, is_item=True), Label.ITEM_PRICE), 1.0, "right")
        each = self._amount(unit, is_item=True)
        tokens, count = words(name, label), (str(quantity), Label.ITEM_QUANTITY)
        if style is Items.QUANTITY_COLUMN:
            return [RowPlan([Cell(tokens), Cell([count], 0.68, "right"), amount])], str(quantity)
        if style is Items.FOUR_COLUMNS:
            cells = [Cell(tokens), Cell([count], 0.55, "right"), Cell(words(each), 0.78, "right"), amount]
            return [RowPlan(cells)], str(quantity)
        if style is Items.CODES:
            return [RowPlan([Cell([*words(self.texts.code()), *tokens]), amount])], None
        if style is Items.QUANTITY_FIRST:
            glued = [(f"{quantity}{times}", Label.ITEM_QUANTITY)] if rng.random() < 0.4 else [count, *words(times)]
            glued = [count] if rng.random() < 0.2 else glued
            return [RowPlan([Cell([*glued, *tokens]), amount])], str(quantity)
        if quantity == 1 and rng.random() < 0.7:
            return [RowPlan([Cell(tokens), amount])], None
        if style is Items.QUANTITY_BELOW:
            return self._below(tokens, quantity, times, each, amount), str(quantity)
        if style is Items.QUANTITY_ABOVE:
            above = RowPlan([Cell([count, *words(f"{times} {each}")], rng.choice((0.0, 0.05)))])
            return [above, RowPlan([Cell(tokens), amount])], str(quantity)
        if style is Items.TIMES:
            return [RowPlan([Cell([*tokens, (f"x{quantity}", Label.ITEM_QUANTITY)]), amount])], str(quantity)
        return [RowPlan([Cell(tokens), amount])], None

    def _below(self, tokens: list[Token], quantity: int, times: str, each: str, amount: Cell) -> list[RowPlan]:
        indent = self.rng.choice((0.0, 0.06, 0.15))
        unit = words(self.rng.choice(("", "", "pcs", "Stk"))) if self.rng.random() < 0.3 else []
        below: list[Token] = [(str(quantity), Label.ITEM_QUANTITY), *unit, *words(f"{times} {each}")]
        return [RowPlan([Cell(tokens)]), RowPlan([Cell(below, indent), amount])]

    def _add_item(self, rows: Sequence[RowPlan], quantity: str | None, price: Decimal) -> None:
        tokens = [token for row in rows for cell in row.cells for token in cell.tokens]
        name = " ".join(word for word, label in tokens if label is Label.ITEM_NAME)
        self.truth.items.append((name, quantity, str(price)))

    def _item_heads(self) -> None:
        name, quantity, each, amount = self.rng.choice(self.language.item_heads)
        cells = [Cell(words(name)), Cell(words(amount), 1.0, "right")]
        if self.layout.items is Items.FOUR_COLUMNS:
            cells[1:1] = [Cell(words(quantity), 0.55, "right"), Cell(words(each), 0.78, "right")]
        elif self.layout.items is Items.QUANTITY_COLUMN:
            cells.insert(1, Cell(words(quantity), 0.68, "right"))
        self.rows.append(RowPlan(cells, is_bold=self.rng.random() < 0.2))
        self._ruled(0.4)

    def _discount(self, total: Decimal) -> Decimal:
        share = self.rng.choice((5, 10, 15, 20))
        amount = (total * share / 100).quantize(_CENT)
        name = self.texts.pick(self.language.discount)
        name += f" {share}%" if self.rng.random() < 0.4 else ""
        price = Cell(words(self._amount(-amount, is_item=True), Label.ITEM_PRICE), 1.0, "right")
        row = RowPlan([Cell(words(name, Label.ITEM_NAME)), price])
        self.rows.append(row)
        self._add_item([row], None, -amount)
        return amount

    # sums

    def _sums(self, items: Decimal) -> None:
        rng, sums = self.rng, self.layout.sums
        language = self.language
        self._ruled(0.5)
        rates = rng.sample(self.texts.locale.rates, 2)
        part = (items * rng.choice((5, 8, 10, 19)) / 100).quantize(_CENT)
        total = items
        if sums in (Sums.TAX_ADDED, Sums.SUBTOTAL, Sums.TWO_TAXES):
            self._sum_row(self.texts.pick(language.subtotal), items, Label.SUBTOTAL)
            self.truth.values["subtotal"] = str(items)
        taxes: list[Decimal] = []
        if sums is Sums.TAX_ADDED:
            taxes = [part]
        elif sums is Sums.TWO_TAXES:
            taxes = [part, (items * 3 / 100).quantize(_CENT)]
        for rate, tax in zip(rates, taxes, strict=False):
            self._sum_row(self._tax_name(rate), tax, Label.TAX)
            total += tax
        if rng.random() < 0.2:
            self._ruled(1.0)
        self._total(total)
        if sums is Sums.TAX_INCLUDED:
            name = f"{self.texts.pick(language.included)} {rates[0] if rng.random() < 0.7 else ''}"
            self._sum_row(name, part, Label.TAX)
            taxes = [part]
        elif sums is Sums.TAX_TABLE:
            taxes = [part]
            self._tax_table(rates[0], total, part)
        if taxes:
            self.truth.values["tax"] = str(sum(taxes))
        self._currency()

    def _total(self, total: Decimal) -> None:
        """The total; another amount under a total's name shows by its look alone that it is not."""
        rng = self.rng
        scale, is_bold = rng.choice((1.0, 1.0, 1.15, 1.3)), rng.random() < 0.4
        form, around = rng.random(), rng.uniform(0.4, 1.0)
        rows = [(total, Label.TOTAL)]
        if form < 0.1:
            other = (total * rng.randint(20, 180) / 100).quantize(_CENT)
            rows.insert(rng.randrange(2), (other, Label.OTHER))
        for amount, label in rows:
            name = self.texts.pick(self.language.total) + rng.choice(("", "", ":"))
            self._sum_row(name, amount, label, scale, is_bold=is_bold)
            if form < 0.3:
                self.rows[-1].around = around
                self.rows[-1].on_band = label is Label.TOTAL and form < 0.25
        self.truth.values["total"] = str(total)

    def _tax_name(self, rate: str) -> str:
        name = self.texts.pick(self.language.tax)
        return f"{name} {rate}" if self.rng.random() < 0.7 else name

    def _sum_row(self, name: str, amount: Decimal, label: Label, scale: float = 1.0, *, is_bold: bool = False) -> None:
        tokens = words(self._amount(amount), label)
        is_total = label in (Label.TOTAL, Label.OTHER)
        code = [(self.code, Label.CURRENCY)] if self.code and (is_total or self.rng.random() < 0.3) else []
        between = self.rng.random() < 0.3
        if code and between:
            cells = [Cell([*words(name), *code]), Cell(tokens, 1.0, "right")]
        elif self.code_is_first:
            cells = [Cell(words(name)), Cell([*code, *tokens], 1.0, "right")]
        else:
            cells = [Cell(words(name)), Cell([*tokens, *code], 1.0, "right")]
        self.rows.append(RowPlan(cells, scale, is_bold, space=self.rng.choice((0.0, 0.0, 0.3))))

    def _tax_table(self, rate: str, total: Decimal, tax: Decimal) -> None:
        heads = self.language.tax_table
        places = (0.0, 0.42, 0.7, 1.0)
        cells = [Cell(words(head), x, "right" if x else "left") for head, x in zip(heads, places, strict=True)]
        self.rows.append(RowPlan(cells, space=self.rng.choice((0.0, 0.5))))
        amounts = [self.money.write(amount) for amount in (total - tax, tax, total)]
        first = f"{self.rng.choice('AB1')} {rate}" if self.rng.random() < 0.4 else rate
        labels = (Label.OTHER, Label.TAX, Label.OTHER)
        cells = [Cell(words(first))]
        cells += [
            Cell(words(text, label), x, "right") for text, label, x in zip(amounts, labels, places[1:], strict=True)
        ]
        self.rows.append(RowPlan(cells))

    def _amount(self, amount: Decimal, *, is_item: bool = False) -> str:
        return self.money.write(amount, is_glued=self.items_are_glued if is_item else self.sums_are_glued)

    def _currency_word(self) -> str:
        """The currency as a word of its own, beside sums; empty where there is none."""
        if self.rng.random() < 0.5 or self.sums_are_glued:
            return ""
        signs = [self.texts.locale.currency, self.texts.locale.currency, self.texts.locale.sign]
        return self.rng.choice([sign for sign in signs if sign])

    def _currency(self) -> None:
        values = self.truth.values
        if self.code or self.sums_are_glued or self.items_are_glued:
            is_dollar = self.texts.locale.sign == "$" and self.code in ("", "$")
            values["currency"] = None if is_dollar else self.texts.locale.currency

    # payment and foot

    def _after_sums(self) -> None:
        rng, texts, language = self.rng, self.texts, self.language
        total = Decimal(str(self.truth.values["total"]))
        if self.layout.payment is not Payment.NONE:
            self._payment(total)
        if rng.random() < 0.25:
            count = words(f"{texts.pick(language.counts)}: {len(self.truth.items)}")
            self.rows.append(RowPlan([Cell(count)]))
        if self.layout.date is DatePlace.BOTTOM:
            self.rows.append(RowPlan([Cell(self._date())], space=rng.choice((0.0, 0.6))))
        if rng.random() < 0.15:
            deadline = f"{texts.pick(language.deadline)} {texts.write_day(texts.day())}"
            self.rows.append(RowPlan([Cell(words(deadline))]))
        closings = [words(texts.pick(language.closings)) for _ in range(rng.choice((0, 1, 1, 2)))]
        if rng.random() < 0.2:
            closings.append(words(texts.contact()))
        self.rows += [RowPlan([Cell(line, 0.5, "centre")]) for line in closings]

    def _payment(self, total: Decimal) -> None:
        rng, texts, language = self.rng, self.texts, self.language
        form = self.layout.payment
        is_cash = form is Payment.WITH_CHANGE or (form is Payment.ROW and rng.random() < 0.3)
        brands = ("VISA", "Visa", "Mastercard", "MASTERCARD", "American Express", "Maestro", "Apple Pay", "V PAY")
        method = texts.pick(language.cash if is_cash else (language.card if rng.random() < 0.5 else brands))
        self.truth.values["payment"] = _kind_of_payment(method, is_cash=is_cash)
        tokens = words(method, Label.PAYMENT)
        if form is Payment.TERMINAL:
            number = words(texts.card_number())
            rows = [RowPlan([Cell(tokens), Cell(number, 1.0, "right")])]
            if rng.random() < 0.6:
                rows.append(
                    RowPlan([Cell(words(f"{rng.choice(('Auth', 'AID', 'Terminal', 'Trace'))} {texts.code()}"))])
                )
            if rng.random() < 0.4:
                amount = Cell(words(self._amount(total)), 1.0, "right")
                rows.append(RowPlan([Cell(words(rng.choice(("Amount", "Betrag", "AMOUNT", "EFT")))), amount]))
            self.rows += rows
            return
        given = total + (Decimal(rng.choice((0, 1, 5, 10, 20))) if is_cash else 0)
        self.rows.append(RowPlan([Cell(tokens), Cell(words(self._amount(given)), 1.0, "right")]))
        if form is Payment.WITH_CHANGE:
            change = Cell(words(self._amount(given - total)), 1.0, "right")
            self.rows.append(RowPlan([Cell(words(texts.pick(language.change))), change]))


def _kind_of_payment(method: str, *, is_cash: bool) -> str:
    if is_cash:
        return "cash"
    return "mobile" if method == "Apple Pay" else "card"

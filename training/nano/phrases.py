"""What is printed on receipts, as far as it is not random: enough to draw with where no word list is installed."""

from __future__ import annotations


def _listed(text: str) -> list[str]:
    return [" ".join(entry.split()) for entry in text.split(",")]


SHOPS = _listed(
    """
    Corner Market, Green Leaf Cafe, City Books, Old Town Bakery, Harbour Fish Bar, Sunrise Grocery, The Tool Shed,
    Café Aurora, Northside Pharmacy, Blue Door Diner, Station Kiosk, Maple Street Deli, Book Nook, Pizza Roma,
    Flower Box
    """
)
"""Names over the door."""

PRODUCTS = _listed(
    """
    Coffee, Green tea, Whole milk, Brown bread, Butter, Free range eggs, Cheddar, Orange juice, Apples, Bananas,
    Tomatoes, Onions, Potatoes, Carrots, Rice 1kg, Pasta 500g, Olive oil, Sugar, Salt, Black pepper, Honey, Jam,
    Yoghurt, Croissant, Bagel, Sandwich, Soup of the day, Caesar salad, Fish and chips, Burger, Pizza, Lemonade,
    Sparkling water, Red wine, Notebook, Pencil, Ballpoint pen, Envelopes, Stamps, Batteries AA, Light bulb, Soap,
    Shampoo, Toothpaste, Tissues, Newspaper, Magazine, Chocolate, Biscuits, Crisps, Ice cream, Espresso, Cappuccino,
    Muffin, Porridge, Grapes, Lemons, Mushrooms, Spinach, Chicken, Salmon, Candles, Umbrella, Phone card, Bus
    ticket, Gift wrap, Paper bag, Apple purée
    """
)
"""What is sold."""

SUMS = _listed(
    """
    Total, Subtotal, TOTAL, SUBTOTAL, VAT 20%, Tax, Cash, Change, Card, Discount, Tip
    """
)
"""Rows that add up."""

CLOSINGS = _listed(
    """
    Thank you!, Thank you for your visit, Please come again, Have a nice day, Keep this receipt, No refunds, See you
    soon, All prices incl. VAT, Open 8-20 daily, www.example.com
    """
)
"""What stands at the foot."""

STREETS = _listed(
    """
    High Street, Station Road, Mill Lane, Market Square, Park Avenue, Church Road, King Street, Elm Grove
    """
)
"""Where shops are."""

BUILT_IN_WORDS = tuple(
    word for text in (*SHOPS, *PRODUCTS, *CLOSINGS, *STREETS) for word in text.split() if word.isalpha()
)
"""The single words of the above."""

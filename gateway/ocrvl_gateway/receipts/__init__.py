"""`/receipts`: an image of a receipt to its fields."""

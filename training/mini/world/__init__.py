"""What mini is shown: printed blocks of each task, drawn with what is to be answered to them."""

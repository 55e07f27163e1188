"""The checks of `ocrvl doctor`: facts of this machine are gathered, and functions check them without looking again."""

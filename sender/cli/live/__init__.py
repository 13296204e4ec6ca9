"""The live view of `sender top`: the only place of textual, imported when the view begins and not before."""

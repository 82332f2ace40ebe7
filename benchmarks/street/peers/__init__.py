"""What other tools tell of the programs of the street, held against the same truth by one written rule."""

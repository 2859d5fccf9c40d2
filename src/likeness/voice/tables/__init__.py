"""One table per language with the words that the rules of `likeness.voice.text` use.

Unicode's CLDR does not replace them: its names are formal ("Brazilian real", "dólar
estadounidense"), and it has neither the hundredths of currencies nor abbreviations.
"""

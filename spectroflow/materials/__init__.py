"""Materials: compositions, crystal structures, and the powder patterns that follow from them.

``composition.py`` reads formulas, ``cif.py`` reads structures, ``reflections.py`` computes what they
diffract, ``powder.py`` draws the pattern for any wavelength, and ``traits.py`` puts a structure into
numbers that a spectrum may tell something about.
"""

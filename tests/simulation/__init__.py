"""Universes in which issuing goes wrong in every way there is, decided by one seed each."""

"""The packages of Debian 12 whose fonts are drawn with, and the families that training never sees."""

from __future__ import annotations

import re
from typing import Final


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FONT_PACKAGES: Final = _listed(
    """
    fonts-adf-accanthis fonts-adf-baskervald fonts-adf-berenis fonts-adf-gillius fonts-adf-ikarius
    fonts-adf-irianis fonts-adf-libris fonts-adf-mekanus fonts-adf-romande fonts-adf-solothurn
    fonts-adf-switzera fonts-adf-tribun fonts-adf-universalis fonts-adf-verana fonts-agave fonts-anonymous-pro
    fonts-arapey fonts-averia-gwf fonts-averia-sans-gwf fonts-averia-serif-gwf fonts-b612 fonts-cabin
    fonts-cantarell fonts-cardo fonts-century-catalogue fonts-clear-sans fonts-cmu fonts-comfortaa
    fonts-comic-neue fonts-courier-prime fonts-croscore fonts-crosextra-caladea fonts-crosextra-carlito
    fonts-dejavu-core fonts-dejavu-extra fonts-dosis fonts-dustin fonts-ebgaramond fonts-essays1743
    fonts-eurofurence fonts-fantasque-sans fonts-fanwood fonts-firacode fonts-freefont-ttf fonts-gemunu-libre
    fonts-georgewilliams fonts-gfs-artemisia fonts-gfs-didot fonts-gfs-neohellenic fonts-go
    fonts-goudybookletter fonts-hack fonts-hermit fonts-hosny-amiri fonts-inconsolata fonts-inter
    fonts-jetbrains-mono fonts-junction fonts-jura fonts-karla fonts-karmilla fonts-lato fonts-league-mono
    fonts-league-spartan fonts-liberation fonts-lindenhill fonts-linex fonts-linuxlibertine fonts-lmodern
    fonts-manrope fonts-millimetre fonts-monofur fonts-monoid fonts-mononoki fonts-noto-core fonts-noto-mono
    fonts-okolaks fonts-oldstandard fonts-open-sans fonts-opendyslexic fonts-osifont fonts-oxygen fonts-paratype
    fonts-play fonts-prociono fonts-quattrocento fonts-quicksand fonts-roboto-slab fonts-sil-andika
    fonts-sil-charis fonts-sil-doulos fonts-sil-galatia fonts-sil-gentium fonts-sil-gentium-basic
    fonts-sil-gentiumplus fonts-sil-harmattan fonts-sil-padauk fonts-smc-manjari fonts-sora fonts-stix
    fonts-texgyre fonts-tiresias fonts-tlwg-garuda-ttf fonts-tlwg-kinnari-ttf fonts-tlwg-laksaman-ttf
    fonts-tlwg-loma-ttf fonts-tlwg-mono-ttf fonts-tlwg-norasi-ttf fonts-tlwg-typist-ttf fonts-tlwg-umpush-ttf
    fonts-tlwg-waree-ttf fonts-tuffy fonts-uralic fonts-urw-base35 fonts-vollkorn fonts-yanone-kaffeesatz
    fonts-yrsa-rasa ttf-bitstream-vera
    """
)

HELD_OUT_FAMILIES: Final = frozenset(
    {
        "Averia Serif GWF",
        "Bitstream Vera Serif",
        "C059",
        "Cabin",
        "Cantarell",
        "Clear Sans",
        "CMU Bright",
        "Courier Prime",
        "Gentium Basic",
        "Hack",
        "Latin Modern Roman",
        "Libris ADF Std",
        "Nimbus Sans",
        "Noto Serif",
        "Open Sans",
        "PT Serif",
        "Roboto Slab",
        "Tinos",
        "Tribun ADF Std",
        "Vollkorn",
    }
)
"""Twenty families of the kinds that documents are set in: serif, sans, slab and monospaced."""

UNFIT: Final = re.compile(
    r"math|caps|titling|script|chancery|z003|chorus|phon|babel|ellhnikh|binary|sketch|thin|extralight|ultralight"
    r"|hairline|black|heavy|unslanted|dunhill|quotation|keyfont|domestic|caliban|cupola|emerita|elegante|jara",
    re.IGNORECASE,
)
"""Families and styles that print no small letters, another script, or what no document is set in."""

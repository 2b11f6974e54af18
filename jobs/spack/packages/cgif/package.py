"""Spack recipe of a library that ram-dist needs and that Spack's own repository may lack."""
from spack.package import *


class Cgif(MesonPackage):
    """A small GIF encoder."""

    homepage = "https://github.com/dloebl/cgif"
    git = "https://github.com/dloebl/cgif.git"

    version("0.3.0", tag="v0.3.0")

    depends_on("c", type="build")

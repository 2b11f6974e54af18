"""Spack recipe. In the root of this tree: spack repo add jobs/spack && spack dev-build ram-dist@main"""
from spack.package import *


class RamDist(CMakePackage):
    """Distributed, data-parallel trainer, in C, for the Recurrent Attention Model (glimpses, REINFORCE)."""

    version("main")

    variant("cuda", default=False, description="Compute on GPUs")
    variant("tests", default=False, description="Build the tests")

    depends_on("c", type="build")
    depends_on("cmake@3.22:", type="build")
    depends_on("ninja", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("git", type="build")
    depends_on("mpi")
    depends_on("hdf5@1.10:+hl")
    depends_on("libxsmm@1.17")
    depends_on("random123")
    depends_on("libyaml")
    depends_on("jansson")
    depends_on("xxhash")
    depends_on("libpng")
    depends_on("cgif")
    depends_on("zlib-api")
    depends_on("cuda@11.8:", when="+cuda")
    depends_on("nccl", when="+cuda")
    depends_on("cmocka", type="build", when="+tests")

    # the instruction set is part of the bits that the program promises
    requires("target=x86_64_v3:", msg="ram_dist is built for x86-64-v3")

    generator("ninja")

    def cmake_args(self):
        return [
            self.define_from_variant("RAM_TESTS", "tests"),
            self.define_from_variant("RAM_CUDA", "cuda"),
        ]

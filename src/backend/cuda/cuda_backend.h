/* The CUDA backend: kernels of this folder, products by cuBLAS, one stream on one GPU. Owns the GPU's memory that it
 * hands out. Must not know RAM's sequence, nor which rank takes which GPU. Nothing is collective. */
#ifndef RAM_BACKEND_CUDA_BACKEND_H
#define RAM_BACKEND_CUDA_BACKEND_H

#include "backend/backend.h"

/* Whether that GPU and what it needs can be had; RAM_UNAVAILABLE: why not. */
Status cuda_backend_probe(int gpu);

/* As backend_open. RAM_UNAVAILABLE where there is no such GPU, or none that this program has code for; RAM_USAGE for a
 * precision that the GPU lacks, or where it has no room. */
Status cuda_backend_new(const BackendOptions *options, Backend **backend);

#endif

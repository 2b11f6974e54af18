/* The CUDA backend: kernels of this folder, products by cuBLAS, one stream on one GPU. Owns the GPU's memory that it
 * hands out. Must not know RAM's sequence, nor which rank takes which GPU. Nothing is collective. */
#ifndef RAM_BACKEND_CUDA_BACKEND_H
#define RAM_BACKEND_CUDA_BACKEND_H

#include "backend/backend.h"

/* Whether that GPU and what it needs can be had; RAM_UNAVAILABLE: why not. */
Status cuda_backend_probe(int gpu);

/* On the GPU at place `gpu` among those that the process sees. RAM_UNAVAILABLE where there is none, or none that this
 * program has code for; RAM_USAGE for a precision that the GPU lacks. */
Status cuda_backend_new(int gpu, Precision precision, Backend **backend);

#endif

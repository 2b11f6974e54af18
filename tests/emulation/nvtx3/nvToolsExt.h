/* As much of NVTX as the CUDA backend uses: ranges must close. Nothing here is collective. */
#ifndef RAM_TESTS_EMULATION_NVTX3_NVTOOLSEXT_H
#define RAM_TESTS_EMULATION_NVTX3_NVTOOLSEXT_H

#ifdef __cplusplus
extern "C" {
#endif

int nvtxRangePushA(const char *name);
int nvtxRangePop(void);

#ifdef __cplusplus
}
#endif

#endif

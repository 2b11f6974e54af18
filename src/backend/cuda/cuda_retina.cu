/* The glimpse sensor on the GPU. */
#include "backend/cuda/cuda_parts.h"
#include "backend/element/retina.h"
#include "base/glimpse_window.h"

/* One thread a pooled cell: factor^2 bytes of the picture (from the cache after the first) and 4 bytes written. Threads
 * of a warp take neighbouring cells of a row, so pixels and cells are read and written side by side. */
static __global__ void retina_kernel(Retina retina, int64_t count, int features, int samples, const uint8_t *pixels,
                                     const int32_t *picture, const float *location, float *glimpse) {
    const int64_t i = cuda_index();
    if (i >= count) return;
    const int64_t row = cuda_quotient(i, features), bytes = (int64_t)retina.height * retina.width * retina.channels;
    const int cell = (int)(i - row * features), patch = retina.patch;
    const int x = cell % patch, y = cell / patch % patch, plane_number = cell / (patch * patch);
    const int channel = plane_number % retina.channels, scale = plane_number / retina.channels;
    int factor = 1;
    for (int k = 0; k < scale; k++) factor *= retina.scale;
    const RetinaPlane plane = retina_plane(&retina, pixels + picture[row / samples] * bytes, factor, channel);
    const int side = patch * factor;
    const int left = glimpse_window_first(glimpse_window_pixel(location[2 * row], retina.width), side);
    const int top = glimpse_window_first(glimpse_window_pixel(location[2 * row + 1], retina.height), side);
    glimpse[i] = retina_pool(&plane, left + x * factor, top + y * factor);
}

void cuda_retina(Backend *backend, const Span *span, const Retina *retina, const Pictures *pictures, DevFloats location,
                 DevFloats glimpse) {
    const int features = retina->scales * retina->channels * retina->patch * retina->patch;
    const int64_t count = span_rows(span) * features;
    if (count == 0) return;
    CUDA_LAUNCH(retina_kernel, cuda_blocks(count), CUDA_THREADS, (CudaBackend *)backend, *retina, count, features,
                span->samples, pictures->pixels.address, pictures->picture.address, location.address, glimpse.address);
}

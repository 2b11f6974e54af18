/* IDX files (the format of MNIST), plain or gzip: a big-endian header, then unsigned bytes. Owns everything that can be
 * wrong inside one file: the input is untrusted. Must not know which files make a data set, nor what labels mean.
 * Errors are RAM_DATA (bad content) or RAM_IO (cannot be read) and name the file. Nothing here is collective. */
#ifndef RAM_DATA_IDX_H
#define RAM_DATA_IDX_H

#include "base/status.h"
#include "base/terms.h"
#include "data/dataset.h"

enum { IDX_MOST_SIDE = 4096 };

/* Fills images->{count,height,width,channels,pixels} from a file of dimensions (N,H,W) or (N,H,W,C). No images at all,
 * a side of 0 or above IDX_MOST_SIDE, more than CHANNELS_MOST channels, and bytes too few or too many are errors; then
 * *images is unchanged. */
Status idx_read_images(const char *path, Images *images);

/* Fills images->labels from a file of dimension (N); N must equal images->count. On an error *images is unchanged. */
Status idx_read_labels(const char *path, Images *images);

#endif

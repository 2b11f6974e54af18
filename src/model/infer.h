/* Infer: the dimensions of a RAM from the names and shapes of its tensors, as other programs save them.
 * Must not know files. Nothing here is collective. */
#ifndef RAM_MODEL_INFER_H
#define RAM_MODEL_INFER_H

#include "model/parameters.h"

typedef struct {
    const char *name;
    int dimensions;
    int64_t shape[2]; /* of a matrix or a vector */
} NamedShape;

/* How the matrices of linear layers lie: as PyTorch has them, or as Paddle has them. */
typedef enum { ORDER_AUTO, ORDER_OUT_IN, ORDER_IN_OUT } WeightOrder;

/* What shapes cannot tell, as the caller knows it; 0: not known. */
typedef struct {
    int patch, scales;             /* G, K */
    int channels;                  /* C */
    int usual_patch, usual_scales; /* taken, for one channel, where they fit and nothing is known */
    ExitCode misfit;               /* what it is where no retina fits them: whoever gave them is wrong */
} InferHints;

enum { INFER_OTHERS = 256 };

/* Fills what shapes tell of *dims: core, locator, hidden sizes, classes, and the retina's patch, scales and channels;
 * all else is left alone. One or three channels are tried before two and four, which are rare. tensor[place[f]] becomes
 * field f of parameters_define(dims), transposed where transposed[f]. RAM_DATA: a tensor is missing, unknown or does
 * not fit the others. RAM_USAGE: hints or an order are needed. others: the retinas that fit as well where the usual one
 * is taken, "4 of 4 x 4, ..."; else empty. */
Status infer_dims(int tensors, const NamedShape *tensor, WeightOrder order, const InferHints *hints, Dims *dims,
                  int place[LAYOUT_FIELDS], bool transposed[LAYOUT_FIELDS], char others[INFER_OTHERS]);

#endif

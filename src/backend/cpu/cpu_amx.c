/* A tile is 16 rows of 64 bytes: 16 float32 of C, 16 pairs of b, or 16 pairs of a, whose VNNI rows are what TDPBF16PS
 * takes: of the 16 pairs of a row it sums the products of the lower and of the upper elements, each from 0 on, and adds
 * both sums' sum to C. Tiles at the edges of C are configured smaller, so nothing of it is padded or copied. Four tiles
 * of C are summed side by side where there are as many (4 of a row, or 2 x 2), since a TDPBF16PS is ready only after
 * three more have begun. */
#include "backend/cpu/cpu_amx.h"

#include <cpuid.h>
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AMX        __attribute__((target("amx-tile,amx-bf16")))
#define AMX_INLINE AMX __attribute__((always_inline)) static inline

enum { SIDE = BF16_TILE /* rows of a tile, and elements of 4 bytes in a row */, TILE = SIDE * SIDE };

bool cpu_amx_request(void) {
    enum { LEAF = 7, AMX_BF16 = 1u << 22, AMX_TILE = 1u << 24, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };
    unsigned a, b, c, d;
    if (!__get_cpuid_count(LEAF, 0, &a, &b, &c, &d)) return false;
    if (!(d & AMX_BF16) || !(d & AMX_TILE)) return false;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0; /* the kernel keeps 8 KiB more of each thread */
}

/* What LDTILECFG reads. */
typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} TileShapes;

/* Tiles 0, 1 and 2, 3 hold sums (of two rows of tiles, or all of one, where `lower` is 0), 4 and 5 b, 6 and 7 a. */
AMX static void configure(int upper, int lower, int columns) {
    TileShapes shapes = {.palette = 1};
    if (!lower) lower = upper;
    const int rows[] = {upper, upper, lower, lower, upper, lower, SIDE, SIDE};
    for (int tile = 0; tile < 8; tile++) {
        const int elements = tile == 4 || tile == 5 ? SIDE : columns;
        shapes.rows[tile] = (uint8_t)rows[tile];
        shapes.row_bytes[tile] = (uint16_t)(4 * elements);
    }
    __asm__ volatile("" ::"m"(shapes)); /* GCC's _tile_loadconfig says that it reads 8 bytes */
    _tile_loadconfig(&shapes);
}

/* The operands at a corner of C. a: the tile of the corner's columns and the first pairs, behind it that of the next
 * columns. */
typedef struct {
    const Bf16Pair *a, *b;
    float *c;
    int k, width; /* columns of a tile */
    bool accumulate;
    int64_t columns, stride_b, stride_c;
} Corner;

#define LOAD(tile, at, stride) _tile_loadd(tile, at, 4 * (int64_t)(stride))
#define BEGIN_SUM(tile, x, at)                                                                                         \
    do {                                                                                                               \
        if ((x)->accumulate)                                                                                           \
            LOAD(tile, at, (x)->stride_c);                                                                             \
        else                                                                                                           \
            _tile_zero(tile);                                                                                          \
    } while (0)

/* `tiles` tiles of one row. */
AMX_INLINE void multiply_row(const int tiles, const Corner *x) {
    BEGIN_SUM(0, x, x->c);
    if (tiles > 1) BEGIN_SUM(1, x, x->c + SIDE);
    if (tiles > 2) BEGIN_SUM(2, x, x->c + 2 * SIDE);
    if (tiles > 3) BEGIN_SUM(3, x, x->c + 3 * SIDE);
    for (int p = 0; p < x->k; p += SIDE) {
        const Bf16Pair *a = x->a + p * x->columns;
        LOAD(4, x->b + p, x->stride_b);
        LOAD(6, a, x->width);
        _tile_dpbf16ps(0, 4, 6);
        if (tiles > 1) {
            LOAD(7, a + TILE, x->width);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (tiles > 2) {
            LOAD(6, a + 2 * TILE, x->width);
            _tile_dpbf16ps(2, 4, 6);
        }
        if (tiles > 3) {
            LOAD(7, a + 3 * TILE, x->width);
            _tile_dpbf16ps(3, 4, 7);
        }
    }
    _tile_stored(0, x->c, 4 * x->stride_c);
    if (tiles > 1) _tile_stored(1, x->c + SIDE, 4 * x->stride_c);
    if (tiles > 2) _tile_stored(2, x->c + 2 * SIDE, 4 * x->stride_c);
    if (tiles > 3) _tile_stored(3, x->c + 3 * SIDE, 4 * x->stride_c);
}

/* `tiles` tiles of two rows. */
AMX_INLINE void multiply_rows(const int tiles, const Corner *x) {
    float *lower = x->c + SIDE * x->stride_c;
    BEGIN_SUM(0, x, x->c);
    BEGIN_SUM(2, x, lower);
    if (tiles > 1) BEGIN_SUM(1, x, x->c + SIDE);
    if (tiles > 1) BEGIN_SUM(3, x, lower + SIDE);
    for (int p = 0; p < x->k; p += SIDE) {
        const Bf16Pair *a = x->a + p * x->columns, *b = x->b + p;
        LOAD(4, b, x->stride_b);
        LOAD(6, a, x->width);
        _tile_dpbf16ps(0, 4, 6);
        LOAD(5, b + SIDE * x->stride_b, x->stride_b);
        _tile_dpbf16ps(2, 5, 6);
        if (tiles > 1) {
            LOAD(7, a + TILE, x->width);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(3, 5, 7);
        }
    }
    _tile_stored(0, x->c, 4 * x->stride_c);
    _tile_stored(2, lower, 4 * x->stride_c);
    if (tiles > 1) _tile_stored(1, x->c + SIDE, 4 * x->stride_c);
    if (tiles > 1) _tile_stored(3, lower + SIDE, 4 * x->stride_c);
}

/* As many tiles as fit into `columns` elements of up to 2 rows of tiles; returns their columns, in whole tiles. */
AMX static int multiply_tiles(bool two, int columns, const Corner *x) {
    const int most = two ? 2 : 4, tiles = columns < SIDE ? 1 : columns < most * SIDE ? columns / SIDE : most;
    if (two && tiles == 2)
        multiply_rows(2, x);
    else if (two)
        multiply_rows(1, x);
    else if (tiles == 4)
        multiply_row(4, x);
    else if (tiles == 3)
        multiply_row(3, x);
    else if (tiles == 2)
        multiply_row(2, x);
    else
        multiply_row(1, x);
    return tiles * SIDE;
}

AMX static void product(int m, int n, int k, const Bf16Pair *a, int64_t columns_a, const Bf16Pair *b, int64_t stride_b,
                        bool accumulate, float *c, int64_t stride_c) {
    __asm__ volatile("" ::: "memory"); /* GCC's tile loads do not say that they read memory */
    const int whole = m - m % SIDE;
    for (int row = 0; row < n; row += 2 * SIDE) {
        const int rows = n - row, upper = rows < SIDE ? rows : SIDE;
        const int lower = rows <= SIDE ? 0 : rows < 2 * SIDE ? rows - SIDE : SIDE;
        Corner x = {a, b + row * stride_b, c + row * stride_c, k, SIDE, accumulate, columns_a, stride_b, stride_c};
        if (whole && (row == 0 || lower < SIDE || whole < m)) configure(upper, lower, SIDE);
        for (int column = 0, columns; column < m; column += columns) {
            if (column == whole) {
                x.width = m - whole;
                configure(upper, lower, x.width);
            }
            columns = multiply_tiles(lower, column < whole ? whole - column : x.width, &x);
            x.a += columns * SIDE;
            x.c += columns;
        }
    }
    _tile_release(); /* so that a switch of threads need not save 8 KiB */
}

const Bf16Form BF16_AMX = {"bf16 by AMX", product, bf16_pair_tiles, .column_step = SIDE, .pairs_step = SIDE};

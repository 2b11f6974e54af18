/* The lane tree (DESIGN 4): vectors of the lanes of a batch are summed in one fixed binary tree over lane numbers, so
 * the bits of a sum do not depend on which rank or thread holds a lane. Pure arithmetic of (lanes, ranks); nothing
 * collective. */
#ifndef RAM_BASE_LANE_TREE_H
#define RAM_BASE_LANE_TREE_H

#include <stdint.h>

enum { LANES_MOST = 1024, LANE_NODES_MOST = 20 /* complete subtrees in any run of LANES_MOST lanes: 2 log2 */ };

/* The subtree over lanes [first, first + count); count is a power of two that divides first. */
typedef struct {
    int first, count;
} LaneNode;

/* The largest complete subtree of at most `most` lanes (a power of two) that begins at lane `first` and ends by `end`.
 */
LaneNode lane_tree_node(int lanes, int first, int end, int most);

/* The complete subtrees that make up lanes [first, first + count) of `lanes`, in ascending order, as few as possible.
 * Returns how many (0 for an empty run). */
int lane_tree_nodes(int lanes, int first, int count, LaneNode node[LANE_NODES_MOST]);

/* The lanes of rank `rank` of `ranks`. */
LaneNode lane_tree_rank(int lanes, int rank, int ranks);

/* out (count) = the sum of vectors (nodes, each (count)) in tree order. `node` covers [0, lanes) or one subtree of it
 * without gaps, ascending. out may be one of the vectors. Called for blocks: count <= LANE_BLOCK. */
enum { LANE_BLOCK = 512 };
void lane_tree_sum(int nodes, const LaneNode *node, const float *const *vector, int count, float *out);

/* The same for doubles; vector i at values + i * stride. */
void lane_tree_sum_double(int nodes, const LaneNode *node, const double *values, int64_t stride, int count,
                          double *out);

#endif

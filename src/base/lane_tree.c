#include "base/lane_tree.h"
#include "base/log.h"
#include "base/partition.h"

#include <string.h>

LaneNode lane_tree_node(int lanes, int first, int end, int most) {
    require(first >= 0 && first < end && end <= lanes && lanes <= LANES_MOST);
    int count = 1;
    while (first % (2 * count) == 0 && first + 2 * count <= end && 2 * count <= most) count *= 2;
    return (LaneNode){first, count};
}

int lane_tree_nodes(int lanes, int first, int count, LaneNode node[LANE_NODES_MOST]) {
    int nodes = 0;
    for (int end = first + count; first < end; first += node[nodes++].count)
        node[nodes] = lane_tree_node(lanes, first, end, lanes);
    return nodes;
}

LaneNode lane_tree_rank(int lanes, int rank, int ranks) {
    int first = (int)partition_begin(lanes, rank, ranks);
    return (LaneNode){first, (int)partition_begin(lanes, rank + 1, ranks) - first};
}

/* Index of the first node behind the left half of the subtree that nodes [0, nodes) make up. */
static int left_nodes(int nodes, const LaneNode *node) {
    int lanes = 0, left = 0;
    for (int i = 0; i < nodes; i++) lanes += node[i].count;
    for (int half = 0; half < lanes / 2; left++) half += node[left].count;
    return left;
}

/* Sums the subtree made of node[0..nodes) into `out` and returns where the sum lies: a leaf's own vector is not copied.
 */
static const float *sum_subtree(int nodes, const LaneNode *node, const float *const *vector, int count, float *out) {
    if (nodes == 1) return vector[0];
    float scratch[LANE_BLOCK] __attribute__((aligned(64)));
    int left = left_nodes(nodes, node);
    const float *a = sum_subtree(left, node, vector, count, out);
    const float *b = sum_subtree(nodes - left, node + left, vector + left, count, scratch);
    for (int i = 0; i < count; i++) out[i] = a[i] + b[i];
    return out;
}

void lane_tree_sum(int nodes, const LaneNode *node, const float *const *vector, int count, float *out) {
    float block[LANE_BLOCK] __attribute__((aligned(64))); /* out may be a vector that is still to be read */
    require(count <= LANE_BLOCK && nodes > 0);
    const float *sum = sum_subtree(nodes, node, vector, count, block);
    if (sum != out) memcpy(out, sum, (size_t)count * sizeof *out);
}

static double sum_one(int nodes, const LaneNode *node, const double *values, int64_t stride) {
    if (nodes == 1) return values[0];
    int left = left_nodes(nodes, node);
    return sum_one(left, node, values, stride) + sum_one(nodes - left, node + left, values + left * stride, stride);
}

void lane_tree_sum_double(int nodes, const LaneNode *node, const double *values, int64_t stride, int count,
                          double *out) {
    for (int i = 0; i < count; i++) out[i] = sum_one(nodes, node, values + i, stride);
}

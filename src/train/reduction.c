#include "train/reduction.h"
#include "base/memory.h"
#include "train/rank_sum.h"

#include <stdlib.h>
#include <string.h>

struct Reduction {
    Backend *backend;
    int lanes, tail;
    int64_t count;
    LaneNode mine; /* this rank's run of lanes; not a subtree in general */
    int nodes;     /* complete subtrees that make it up, ascending */
    LaneNode node[LANE_NODES_MOST];
    int leaves;
    LaneNode *leaf;         /* (leaves): subtrees that make up the nodes */
    DevFloats *leaf_vector; /* (leaves) */
    RankSum *ranks;         /* has the nodes' vectors and tails */
    double *tails;          /* (this rank's lanes, tail), host, of a run between ranks; */
    double *total_tail;     /* (tail), and what came of it */
};

/* The node that leaf `leaf` belongs to; whether it is its first one. */
static int node_of(const Reduction *r, int leaf, bool *first) {
    int node = 0;
    while (r->node[node].first + r->node[node].count <= r->leaf[leaf].first) node++;
    *first = r->node[node].first == r->leaf[leaf].first;
    return node;
}

/* A node is summed into the vector of its first leaf, so that is the node's. */
static void open_leaves(Reduction *r) {
    r->leaf_vector = memory_new((size_t)r->leaves, sizeof *r->leaf_vector);
    for (int i = 0; i < r->leaves; i++) {
        bool first;
        const int node = node_of(r, i, &first);
        r->leaf_vector[i] = first ? rank_sum_vector(r->ranks, node) : backend_zeros(r->backend, r->count);
    }
}

static void close_leaves(Reduction *r) {
    for (int i = 0; i < r->leaves; i++) {
        bool first;
        node_of(r, i, &first);
        if (!first) r->backend->kernels->release(r->backend, r->leaf_vector[i].address);
    }
    free(r->leaf_vector);
}

Reduction *reduction_new(Comm *comm, CommNccl *nccl, Backend *backend, int lanes, int64_t count, int tail, int leaves,
                         const LaneNode *leaf) {
    Reduction *r = memory_new(1, sizeof *r);
    *r = (Reduction){.backend = backend, .lanes = lanes, .count = count, .tail = tail, .leaves = leaves};
    r->ranks = rank_sum_new(comm, nccl, backend, lanes, count, tail);
    r->mine = lane_tree_rank(lanes, comm_rank(comm), comm_size(comm));
    r->nodes = lane_tree_nodes(lanes, r->mine.first, r->mine.count, r->node);
    r->leaf = memory_new((size_t)leaves, sizeof *r->leaf);
    memcpy(r->leaf, leaf, (size_t)leaves * sizeof *leaf);
    r->tails = memory_new((size_t)r->mine.count * (size_t)tail, sizeof *r->tails);
    r->total_tail = memory_new((size_t)tail, sizeof *r->total_tail);
    open_leaves(r);
    return r;
}

void reduction_free(Reduction *r) {
    if (!r) return;
    close_leaves(r);
    rank_sum_free(r->ranks);
    free(r->leaf);
    free(r->tails);
    free(r->total_tail);
    free(r);
}

DevFloats reduction_vector(const Reduction *r, int leaf) { return r->leaf_vector[leaf]; }

DevFloats reduction_total(const Reduction *r) { return rank_sum_total(r->ranks); }

/* Sums each of this rank's nodes into the vector of its first leaf. */
static void sum_nodes(Reduction *r) {
    int first = 0;
    for (int i = 0; first < r->leaves; i++) {
        const int end = r->node[i].first + r->node[i].count;
        int leaves = 0;
        while (first + leaves < r->leaves && r->leaf[first + leaves].first < end) leaves++;
        if (leaves > 1)
            r->backend->kernels->tree_sum(r->backend, leaves, r->leaf + first, r->leaf_vector + first, r->count,
                                          rank_sum_vector(r->ranks, i));
        first += leaves;
    }
}

/* The same for the tails, which come lane by lane. */
static void sum_tails(Reduction *r, const double *tails) {
    LaneNode lane[LANES_MOST];
    for (int i = 0; i < r->nodes; i++) {
        const LaneNode root = r->node[i];
        for (int v = 0; v < root.count; v++) lane[v] = (LaneNode){root.first + v, 1};
        lane_tree_sum_double(root.count, lane, tails + (int64_t)(root.first - r->mine.first) * r->tail, r->tail,
                             r->tail, rank_sum_tail(r->ranks, i));
    }
}

static bool is_alone(const Reduction *r) { return r->mine.count == r->lanes; }

bool reduction_is_recordable(const Reduction *r) {
    return rank_sum_is_fast(r->ranks) ? rank_sum_is_recordable(r->ranks) : is_alone(r);
}

static void download(Reduction *r, DevDoubles from, int count, double *to) {
    r->backend->kernels->download(r->backend, to, from.address, (size_t)count * sizeof *to);
}

void reduction_run(Reduction *r, DevDoubles tails) {
    sum_nodes(r);
    if (rank_sum_is_fast(r->ranks)) {
        rank_sum_run_fast(r->ranks, r->mine.count, tails);
        return;
    }
    if (is_alone(r)) return;
    download(r, tails, r->mine.count * r->tail, r->tails);
    sum_tails(r, r->tails);
    rank_sum_run(r->ranks, r->total_tail);
}

void reduction_tail(Reduction *r, DevDoubles from, int more, double *tails, double *total) {
    rank_sum_wait(r->ranks);
    download(r, from, r->mine.count * r->tail + more, tails);
    if (rank_sum_is_fast(r->ranks)) {
        memcpy(total, tails, (size_t)r->tail * sizeof *total);
    } else if (is_alone(r)) {
        sum_tails(r, tails);
        rank_sum_run(r->ranks, total);
    } else {
        memcpy(total, r->total_tail, (size_t)r->tail * sizeof *total);
    }
}

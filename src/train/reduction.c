#include "train/reduction.h"
#include "base/layout.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL_MOST = 32 };

struct Reduction {
    Comm *comm;
    Backend *backend;
    int lanes, rank, ranks, tail;
    int64_t count;
    LaneNode mine; /* this rank's run of lanes; not a subtree in general */
    int leaves;
    LaneNode *leaf;    /* (leaves): subtrees that make up `mine` */
    int nodes;         /* complete subtrees of all ranks, ascending by lane */
    LaneNode *node;    /* (nodes) */
    int *owner;        /* (nodes): rank */
    DevFloats *vector; /* (nodes): my part of each node's sum; on my own nodes the whole sum */
    DevFloats inbox;   /* my part of the nodes of others */
    double *tails;     /* (nodes, tail) */
    Message *message;  /* room for sends, then receives */
};

/* Part of the vector that rank `rank` completes: whole cache lines. */
static int64_t part_begin(const Reduction *r, int rank) {
    return partition_begin(r->count / LAYOUT_ALIGN, rank, r->ranks) * LAYOUT_ALIGN;
}
static int64_t part_count(const Reduction *r, int rank) { return part_begin(r, rank + 1) - part_begin(r, rank); }

Reduction *reduction_new(Comm *comm, Backend *backend, int lanes, int64_t count, int tail, int leaves,
                         const LaneNode *leaf) {
    Reduction *r = memory_new(1, sizeof *r);
    *r = (Reduction){.comm = comm, .backend = backend, .lanes = lanes, .count = count, .tail = tail};
    r->rank = comm_rank(comm);
    r->ranks = comm_size(comm);
    require(r->ranks <= lanes && lanes <= LANES_MOST && count % LAYOUT_ALIGN == 0 && tail <= TAIL_MOST);
    r->mine = lane_tree_rank(lanes, r->rank, r->ranks);
    r->leaves = leaves;
    r->leaf = memory_new((size_t)leaves, sizeof *r->leaf);
    memcpy(r->leaf, leaf, (size_t)leaves * sizeof *leaf);
    r->node = memory_new((size_t)lanes, sizeof *r->node);
    r->owner = memory_new((size_t)lanes, sizeof *r->owner);
    for (int rank = 0; rank < r->ranks; rank++) {
        LaneNode run = lane_tree_rank(lanes, rank, r->ranks), node[LANE_NODES_MOST];
        int nodes = lane_tree_nodes(lanes, run.first, run.count, node);
        for (int i = 0; i < nodes; i++) {
            r->node[r->nodes] = node[i];
            r->owner[r->nodes++] = rank;
        }
    }
    r->vector = memory_new((size_t)r->nodes, sizeof *r->vector);
    r->tails = memory_new((size_t)r->nodes * (size_t)tail, sizeof *r->tails);
    /* a vector and a tail for each (node, peer), either way */
    r->message = memory_new(4 * (size_t)r->nodes * (size_t)r->ranks, sizeof *r->message);
    if (r->ranks > 1) r->inbox = backend_floats(backend, r->nodes * part_count(r, r->rank) + LAYOUT_ALIGN);
    for (int i = 0; i < r->nodes; i++) r->vector[i] = dev_floats_at(r->inbox, i * part_count(r, r->rank));
    return r;
}

void reduction_free(Reduction *r) {
    if (!r) return;
    if (r->inbox.address) r->backend->kernels->release(r->backend, r->inbox.address);
    free(r->leaf);
    free(r->node);
    free(r->owner);
    free(r->vector);
    free(r->tails);
    free(r->message);
    free(r);
}

/* Sums each of this rank's subtrees: into the vector of its first leaf, or, where one subtree is the whole tree, into
 * `total`. */
static void sum_own_nodes(Reduction *r, const DevFloats *vector, DevFloats total) {
    int first = 0;
    for (int i = 0; i < r->nodes; i++) {
        if (r->owner[i] != r->rank) continue;
        const int end = r->node[i].first + r->node[i].count;
        int leaves = 0;
        while (first + leaves < r->leaves && r->leaf[first + leaves].first < end) leaves++;
        r->vector[i] = r->ranks == 1 ? total : vector[first];
        if (leaves > 1 || r->vector[i].address != vector[first].address)
            r->backend->kernels->tree_sum(r->backend, r->lanes, leaves, r->leaf + first, vector + first, r->count,
                                          r->vector[i]);
        first += leaves;
    }
}

/* The same for the tails, which come lane by lane. */
static void sum_own_tails(Reduction *r, const double *tails) {
    LaneNode lane[LANES_MOST];
    for (int i = 0; i < r->nodes; i++) {
        if (r->owner[i] != r->rank) continue;
        const LaneNode root = r->node[i];
        for (int v = 0; v < root.count; v++) lane[v] = (LaneNode){root.first + v, 1};
        lane_tree_sum_double(root.count, lane, tails + (int64_t)(root.first - r->mine.first) * r->tail, r->tail,
                             r->tail, r->tails + (int64_t)i * r->tail);
    }
}

/* Sends every rank its part of my subtrees' sums; receives my part of theirs. Tails go whole. */
static void scatter_nodes(Reduction *r) {
    const size_t tail_bytes = (size_t)r->tail * sizeof(double);
    const size_t part_bytes = (size_t)part_count(r, r->rank) * sizeof(float);
    int sends = 0, receives = 0;
    Message *receive = r->message + 2 * (int64_t)r->nodes * r->ranks;
    for (int i = 0; i < r->nodes; i++) {
        double *tail = r->tails + (int64_t)i * r->tail;
        if (r->owner[i] != r->rank) {
            receive[receives++] = (Message){r->owner[i], r->vector[i].address, part_bytes};
            receive[receives++] = (Message){r->owner[i], tail, tail_bytes};
            continue;
        }
        for (int peer = 0; peer < r->ranks; peer++) {
            if (peer == r->rank) continue;
            float *part = dev_floats_at(r->vector[i], part_begin(r, peer)).address;
            r->message[sends++] = (Message){peer, part, (size_t)part_count(r, peer) * sizeof(float)};
            r->message[sends++] = (Message){peer, tail, tail_bytes};
        }
    }
    comm_exchange(r->comm, sends, r->message, receives, receive);
}

/* Sends my completed part to every rank; receives theirs. */
static void gather_parts(Reduction *r, DevFloats total) {
    Message *receive = r->message + r->ranks;
    int peers = 0;
    for (int peer = 0; peer < r->ranks; peer++) {
        if (peer == r->rank) continue;
        r->message[peers] = (Message){peer, dev_floats_at(total, part_begin(r, r->rank)).address,
                                      (size_t)part_count(r, r->rank) * sizeof(float)};
        receive[peers++] = (Message){peer, dev_floats_at(total, part_begin(r, peer)).address,
                                     (size_t)part_count(r, peer) * sizeof(float)};
    }
    comm_exchange(r->comm, peers, r->message, peers, receive);
}

void reduction_run(Reduction *r, const DevFloats *vector, const double *tails, DevFloats total, double *total_tail) {
    const int64_t begin = part_begin(r, r->rank), count = part_count(r, r->rank);
    sum_own_nodes(r, vector, total);
    sum_own_tails(r, tails);
    if (r->ranks > 1) {
        scatter_nodes(r);
        for (int i = 0; i < r->nodes; i++)
            if (r->owner[i] == r->rank) r->vector[i] = dev_floats_at(r->vector[i], begin);
        r->backend->kernels->tree_sum(r->backend, r->lanes, r->nodes, r->node, r->vector, count,
                                      dev_floats_at(total, begin));
        gather_parts(r, total);
    }
    lane_tree_sum_double(r->nodes, r->node, r->tails, r->tail, r->tail, total_tail);
}

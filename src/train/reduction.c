#include "train/reduction.h"
#include "base/layout.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { TAIL_MOST = 32 };

struct Reduction {
    Comm *comm;
    CommNccl *nccl; /* NULL: in tree order */
    Backend *backend;
    int lanes, rank, ranks, tail;
    int64_t count;
    LaneNode mine; /* this rank's run of lanes; not a subtree in general */
    int leaves;
    LaneNode *leaf;         /* (leaves): subtrees that make up `mine` */
    DevFloats *leaf_vector; /* (leaves) */
    int nodes;              /* complete subtrees of all ranks, ascending by lane */
    LaneNode *node;         /* (nodes) */
    int *owner;             /* (nodes): rank */
    int first_node;         /* mine */
    DevFloats *vector;      /* (nodes): the sums of the nodes; of others without `shared`, my part alone */
    DevFloats total;
    double *tails;    /* (nodes, tail) */
    Shared *shared;   /* of each rank: (rank 0: the total,) its nodes' vectors and tails; NULL: by messages */
    DevFloats inbox;  /* messages: my part of the nodes of others */
    float **host;     /* messages: (nodes) where `vector` is for the host, of other backends a copy */
    Message *message; /* messages: room for sends, then receives */
};

/* Part of the vector that rank `rank` completes: whole cache lines. */
static int64_t part_begin(const Reduction *r, int rank) {
    return partition_begin(r->count / LAYOUT_ALIGN, rank, r->ranks) * LAYOUT_ALIGN;
}
static int64_t part_count(const Reduction *r, int rank) { return part_begin(r, rank + 1) - part_begin(r, rank); }

static void list_nodes(Reduction *r) {
    r->node = memory_new((size_t)r->lanes, sizeof *r->node);
    r->owner = memory_new((size_t)r->lanes, sizeof *r->owner);
    for (int rank = 0; rank < r->ranks; rank++) {
        LaneNode run = lane_tree_rank(r->lanes, rank, r->ranks), node[LANE_NODES_MOST];
        int nodes = lane_tree_nodes(r->lanes, run.first, run.count, node);
        if (rank == r->rank) r->first_node = r->nodes;
        for (int i = 0; i < nodes; i++) {
            r->node[r->nodes] = node[i];
            r->owner[r->nodes++] = rank;
        }
    }
}

static int nodes_of(const Reduction *r, int rank) {
    int nodes = 0;
    for (int i = 0; i < r->nodes; i++) nodes += r->owner[i] == rank;
    return nodes;
}

/* Whether vector[node] is the node's whole sum, not my part of it. */
static bool is_whole(const Reduction *r, int node) { return r->shared || r->owner[node] == r->rank; }

/* --- shared memory */

static float *shared_vectors(const Reduction *r, int rank) {
    return (float *)comm_shared_of(r->shared, rank) + (rank == 0 ? r->count : 0);
}

static double *shared_tails(const Reduction *r, int rank) {
    return (double *)(void *)(shared_vectors(r, rank) + nodes_of(r, rank) * r->count);
}

/* Whether shared memory serves; places the nodes' vectors and the total in it. */
static bool open_shared(Reduction *r) {
    const size_t vectors = (size_t)nodes_of(r, r->rank) + (r->rank == 0), floats = vectors * (size_t)r->count;
    const size_t doubles = (size_t)nodes_of(r, r->rank) * (size_t)r->tail;
    if (r->nccl || !r->backend->host_memory) return false;
    r->shared = comm_shared_new(r->comm, floats * sizeof(float) + doubles * sizeof(double));
    if (!r->shared) return false;
    for (int i = 0, of_rank = 0; i < r->nodes; i++) {
        of_rank = i > 0 && r->owner[i] == r->owner[i - 1] ? of_rank + 1 : 0;
        r->vector[i].address = shared_vectors(r, r->owner[i]) + of_rank * r->count;
    }
    r->total.address = comm_shared_of(r->shared, 0);
    return true;
}

/* --- messages */

static bool is_copied(const Reduction *r) { return r->ranks > 1 && !r->backend->host_memory; }

static void open_messages(Reduction *r) {
    const int64_t count = part_count(r, r->rank);
    /* a vector and a tail for each (node, peer), either way */
    r->message = memory_new(4 * (size_t)r->nodes * (size_t)r->ranks, sizeof *r->message);
    r->host = memory_new((size_t)r->nodes, sizeof *r->host);
    if (r->ranks > 1) r->inbox = backend_zeros(r->backend, r->nodes * count + LAYOUT_ALIGN);
    for (int i = 0; i < r->nodes; i++) {
        const bool own = r->owner[i] == r->rank;
        r->vector[i] = own ? backend_zeros(r->backend, r->count) : dev_floats_at(r->inbox, i * count);
        r->host[i] = is_copied(r) ? memory_new((size_t)(own ? r->count : count), sizeof(float)) : r->vector[i].address;
    }
    r->total = r->vector[r->first_node]; /* its parts are overwritten when they have been sent */
}

static void close_messages(Reduction *r) {
    for (int i = 0; i < r->nodes; i++) {
        if (is_copied(r)) free(r->host[i]);
        if (r->owner[i] == r->rank) r->backend->kernels->release(r->backend, r->vector[i].address);
    }
    if (r->inbox.address) r->backend->kernels->release(r->backend, r->inbox.address);
    free(r->host);
    free(r->message);
}

/* Elements of a node's vector, from the backend before they are sent, and to it after they came. */
static void fetch(const Reduction *r, int node, int64_t begin, int64_t count) {
    if (is_copied(r))
        r->backend->kernels->download(r->backend, r->host[node] + begin, dev_floats_at(r->vector[node], begin).address,
                                      (size_t)count * sizeof(float));
}

static void deliver(const Reduction *r, int node, int64_t begin, int64_t count) {
    if (is_copied(r))
        r->backend->kernels->upload(r->backend, dev_floats_at(r->vector[node], begin).address, r->host[node] + begin,
                                    (size_t)count * sizeof(float));
}

/* --- NCCL: own nodes meet in the first one's vector, which is the total, with room for the tails behind it */

static void open_nccl(Reduction *r) {
    const int end = r->first_node + nodes_of(r, r->rank);
    for (int i = r->first_node; i < end; i++) r->vector[i] = backend_zeros(r->backend, r->count + TAIL_MOST);
    r->total = r->vector[r->first_node];
}

static void close_nccl(Reduction *r) {
    const int end = r->first_node + nodes_of(r, r->rank);
    for (int i = r->first_node; i < end; i++) r->backend->kernels->release(r->backend, r->vector[i].address);
}

static void run_nccl(Reduction *r, double *total_tail) {
    static const char WHAT[] = "the sum of gradients";
    const int end = r->first_node + nodes_of(r, r->rank);
    const DevFloats behind = dev_floats_at(r->total, r->count);
    float tail[TAIL_MOST] = {0};
    for (int i = r->first_node; i < end; i++) {
        if (i > r->first_node) r->backend->kernels->add(r->backend, r->count, r->total, r->vector[i], r->total);
        for (int t = 0; t < r->tail; t++) tail[t] += (float)r->tails[(int64_t)i * r->tail + t];
    }
    r->backend->kernels->upload(r->backend, behind.address, tail, (size_t)r->tail * sizeof *tail);
    comm_nccl_sum(r->nccl, r->total.address, r->count + r->tail, r->backend->stream, WHAT);
    comm_nccl_wait(r->nccl, r->backend->stream, WHAT);
    r->backend->kernels->download(r->backend, tail, behind.address, (size_t)r->tail * sizeof *tail);
    for (int t = 0; t < r->tail; t++) total_tail[t] = tail[t];
}

/* --- leaves */

/* The node that leaf `leaf` belongs to; whether it is its first one. */
static int node_of(const Reduction *r, int leaf, bool *first) {
    int node = r->first_node;
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
        r->leaf_vector[i] = first ? r->vector[node] : backend_zeros(r->backend, r->count);
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
    *r = (Reduction){.comm = comm, .nccl = nccl, .backend = backend, .lanes = lanes, .count = count, .tail = tail};
    r->leaves = leaves;
    r->rank = comm_rank(comm);
    r->ranks = comm_size(comm);
    require(r->ranks <= lanes && lanes <= LANES_MOST && count % LAYOUT_ALIGN == 0 && tail <= TAIL_MOST);
    r->mine = lane_tree_rank(lanes, r->rank, r->ranks);
    r->leaf = memory_new((size_t)leaves, sizeof *r->leaf);
    memcpy(r->leaf, leaf, (size_t)leaves * sizeof *leaf);
    list_nodes(r);
    r->vector = memory_new((size_t)r->nodes, sizeof *r->vector);
    r->tails = memory_new((size_t)r->nodes * (size_t)tail, sizeof *r->tails);
    if (nccl)
        open_nccl(r);
    else if (!open_shared(r))
        open_messages(r);
    open_leaves(r);
    return r;
}

void reduction_free(Reduction *r) {
    if (!r) return;
    close_leaves(r);
    if (r->nccl)
        close_nccl(r);
    else if (!r->shared)
        close_messages(r);
    comm_shared_free(r->shared);
    free(r->leaf);
    free(r->node);
    free(r->owner);
    free(r->vector);
    free(r->tails);
    free(r);
}

DevFloats reduction_vector(const Reduction *r, int leaf) { return r->leaf_vector[leaf]; }

DevFloats reduction_total(const Reduction *r) { return r->total; }

/* Sums each of this rank's subtrees into the vector of its first leaf. */
static void sum_own_nodes(Reduction *r) {
    int first = 0;
    for (int i = r->first_node; first < r->leaves; i++) {
        const int end = r->node[i].first + r->node[i].count;
        int leaves = 0;
        while (first + leaves < r->leaves && r->leaf[first + leaves].first < end) leaves++;
        if (leaves > 1)
            r->backend->kernels->tree_sum(r->backend, r->lanes, leaves, r->leaf + first, r->leaf_vector + first,
                                          r->count, r->vector[i]);
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

/* Completes the tree for this rank's part of the total. */
static void sum_part(Reduction *r) {
    const int64_t begin = part_begin(r, r->rank);
    DevFloats part[LANES_MOST];
    for (int i = 0; i < r->nodes; i++) part[i] = dev_floats_at(r->vector[i], is_whole(r, i) ? begin : 0);
    r->backend->kernels->tree_sum(r->backend, r->lanes, r->nodes, r->node, part, part_count(r, r->rank),
                                  dev_floats_at(r->total, begin));
}

/* Sends every rank its part of my subtrees' sums; receives my part of theirs. Tails go whole. */
static void scatter_nodes(Reduction *r) {
    const size_t tail_bytes = (size_t)r->tail * sizeof(double);
    const int64_t part = part_count(r, r->rank);
    int sends = 0, receives = 0;
    Message *receive = r->message + 2 * (int64_t)r->nodes * r->ranks;
    for (int i = 0; i < r->nodes; i++) {
        double *tail = r->tails + (int64_t)i * r->tail;
        if (r->owner[i] != r->rank) {
            receive[receives++] = (Message){r->owner[i], r->host[i], (size_t)part * sizeof(float)};
            receive[receives++] = (Message){r->owner[i], tail, tail_bytes};
            continue;
        }
        fetch(r, i, 0, r->count);
        for (int peer = 0; peer < r->ranks; peer++) {
            if (peer == r->rank) continue;
            float *its_part = r->host[i] + part_begin(r, peer);
            r->message[sends++] = (Message){peer, its_part, (size_t)part_count(r, peer) * sizeof(float)};
            r->message[sends++] = (Message){peer, tail, tail_bytes};
        }
    }
    comm_exchange(r->comm, sends, r->message, receives, receive);
    for (int i = 0; i < r->nodes; i++)
        if (r->owner[i] != r->rank) deliver(r, i, 0, part);
}

/* Sends my completed part to every rank; receives theirs. */
static void gather_parts(Reduction *r) {
    Message *receive = r->message + r->ranks;
    float *total = r->host[r->first_node];
    int peers = 0;
    fetch(r, r->first_node, part_begin(r, r->rank), part_count(r, r->rank));
    for (int peer = 0; peer < r->ranks; peer++) {
        if (peer == r->rank) continue;
        r->message[peers] =
            (Message){peer, total + part_begin(r, r->rank), (size_t)part_count(r, r->rank) * sizeof(float)};
        receive[peers++] = (Message){peer, total + part_begin(r, peer), (size_t)part_count(r, peer) * sizeof(float)};
    }
    comm_exchange(r->comm, peers, r->message, peers, receive);
    deliver(r, r->first_node, 0, r->count);
}

static void run_shared(Reduction *r) {
    const size_t bytes = (size_t)r->tail * sizeof(double);
    memcpy(shared_tails(r, r->rank), r->tails + (int64_t)r->first_node * r->tail, (size_t)nodes_of(r, r->rank) * bytes);
    comm_shared_sync(r->shared);
    sum_part(r);
    for (int i = 0; i < r->nodes; i += nodes_of(r, r->owner[i]))
        memcpy(r->tails + (int64_t)i * r->tail, shared_tails(r, r->owner[i]), (size_t)nodes_of(r, r->owner[i]) * bytes);
    comm_shared_sync(r->shared);
}

void reduction_run(Reduction *r, const double *tails, double *total_tail) {
    sum_own_nodes(r);
    sum_own_tails(r, tails);
    if (r->nccl) {
        run_nccl(r, total_tail);
        return;
    }
    if (r->shared) {
        run_shared(r);
    } else if (r->ranks > 1) {
        scatter_nodes(r);
        sum_part(r);
        gather_parts(r);
    }
    lane_tree_sum_double(r->nodes, r->node, r->tails, r->tail, r->tail, total_tail);
}

#include "train/rank_sum.h"
#include "base/layout.h"
#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* What goes between the ranks at once. Nothing moves, so it is listed once. */
typedef struct {
    int sends, receives;
    Message *send, *receive;
} Exchange;

struct RankSum {
    Comm *comm;
    CommNccl *nccl;
    Backend *backend;
    bool fast; /* in NCCL's order */
    int lanes, rank, ranks, tail;
    int64_t count;
    int nodes;         /* of all ranks, ascending by lane */
    LaneNode *node;    /* (nodes) */
    int *owner;        /* (nodes): rank */
    int first_node;    /* mine */
    DevFloats *vector; /* (nodes): their sums; of others without `shared`, my part alone, and with `fast` nothing */
    DevFloats total;
    double *tails;  /* (nodes, tail) */
    Shared *shared; /* of each rank: (rank 0: the total,) its nodes' vectors and tails; NULL: without */
    /* messages */
    DevFloats inbox; /* my part of the nodes of others */
    float **mail;    /* (nodes): where messages find `vector`: there, or its copy on the host, pinned */
    Exchange scatter, gather;
    Exchange tails_alone; /* where NCCL carries the vectors */
};

/* Part of the vector that rank `rank` completes: whole cache lines. */
static int64_t part_begin(const RankSum *s, int rank) {
    return partition_begin(s->count / LAYOUT_ALIGN, rank, s->ranks) * LAYOUT_ALIGN;
}
static int64_t part_count(const RankSum *s, int rank) { return part_begin(s, rank + 1) - part_begin(s, rank); }

static void list_nodes(RankSum *s) {
    s->node = memory_new((size_t)s->lanes, sizeof *s->node);
    s->owner = memory_new((size_t)s->lanes, sizeof *s->owner);
    for (int rank = 0; rank < s->ranks; rank++) {
        LaneNode run = lane_tree_rank(s->lanes, rank, s->ranks), node[LANE_NODES_MOST];
        int nodes = lane_tree_nodes(s->lanes, run.first, run.count, node);
        if (rank == s->rank) s->first_node = s->nodes;
        for (int i = 0; i < nodes; i++) {
            s->node[s->nodes] = node[i];
            s->owner[s->nodes++] = rank;
        }
    }
}

static int nodes_of(const RankSum *s, int rank) {
    int nodes = 0;
    for (int i = 0; i < s->nodes; i++) nodes += s->owner[i] == rank;
    return nodes;
}

static bool is_mine(const RankSum *s, int node) { return s->owner[node] == s->rank; }

static double *tail_of(const RankSum *s, int node) { return s->tails + (int64_t)node * s->tail; }

/* Completes the tree for this rank's part of the total. */
static void sum_part(RankSum *s) {
    const int64_t begin = part_begin(s, s->rank);
    DevFloats part[LANES_MOST];
    for (int i = 0; i < s->nodes; i++) {
        const bool is_whole = s->shared || is_mine(s, i);
        part[i] = dev_floats_at(s->vector[i], is_whole ? begin : 0);
    }
    s->backend->kernels->tree_sum(s->backend, s->nodes, s->node, part, part_count(s, s->rank),
                                  dev_floats_at(s->total, begin));
}

/* --- shared memory */

static float *shared_vectors(const RankSum *s, int rank) {
    return (float *)comm_shared_of(s->shared, rank) + (rank == 0 ? s->count : 0);
}

static double *shared_tails(const RankSum *s, int rank) {
    return (double *)(void *)(shared_vectors(s, rank) + nodes_of(s, rank) * s->count);
}

/* Whether shared memory serves; places the nodes' vectors and the total in it. */
static bool open_shared(RankSum *s) {
    const size_t vectors = (size_t)nodes_of(s, s->rank) + (s->rank == 0), floats = vectors * (size_t)s->count;
    const size_t doubles = (size_t)nodes_of(s, s->rank) * (size_t)s->tail;
    if (s->nccl || !s->backend->host_memory) return false;
    s->shared = comm_shared_new(s->comm, floats * sizeof(float) + doubles * sizeof(double));
    if (!s->shared) return false;
    for (int i = 0, of_rank = 0; i < s->nodes; i++) {
        of_rank = i > 0 && s->owner[i] == s->owner[i - 1] ? of_rank + 1 : 0;
        s->vector[i].address = shared_vectors(s, s->owner[i]) + of_rank * s->count;
    }
    s->total.address = comm_shared_of(s->shared, 0);
    return true;
}

static void run_shared(RankSum *s) {
    const size_t bytes = (size_t)s->tail * sizeof(double);
    memcpy(shared_tails(s, s->rank), tail_of(s, s->first_node), (size_t)nodes_of(s, s->rank) * bytes);
    comm_shared_sync(s->shared);
    sum_part(s);
    for (int i = 0; i < s->nodes; i += nodes_of(s, s->owner[i]))
        memcpy(tail_of(s, i), shared_tails(s, s->owner[i]), (size_t)nodes_of(s, s->owner[i]) * bytes);
    comm_shared_sync(s->shared);
}

/* --- messages */

static Exchange exchange_new(size_t most) {
    return (Exchange){.send = memory_new(most, sizeof(Message)), .receive = memory_new(most, sizeof(Message))};
}

static void exchange_free(Exchange *e) {
    free(e->send);
    free(e->receive);
}

static void add_send(Exchange *e, int peer, void *data, size_t bytes) {
    e->send[e->sends++] = (Message){peer, data, bytes};
}

static void add_receive(Exchange *e, int peer, void *data, size_t bytes) {
    e->receive[e->receives++] = (Message){peer, data, bytes};
}

/* Every rank gets its part of my nodes; I get my part of theirs. */
static void list_scatter(RankSum *s, Exchange *e) {
    for (int i = 0; i < s->nodes; i++) {
        if (!is_mine(s, i)) add_receive(e, s->owner[i], s->mail[i], (size_t)part_count(s, s->rank) * sizeof(float));
        for (int peer = 0; peer < s->ranks && is_mine(s, i); peer++)
            if (peer != s->rank)
                add_send(e, peer, s->mail[i] + part_begin(s, peer), (size_t)part_count(s, peer) * sizeof(float));
    }
}

/* Tails go whole. */
static void list_tails(RankSum *s, Exchange *e) {
    const size_t bytes = (size_t)s->tail * sizeof(double);
    for (int i = 0; i < s->nodes; i++) {
        if (!is_mine(s, i)) add_receive(e, s->owner[i], tail_of(s, i), bytes);
        for (int peer = 0; peer < s->ranks && is_mine(s, i); peer++)
            if (peer != s->rank) add_send(e, peer, tail_of(s, i), bytes);
    }
}

/* Every rank gets my completed part; I get theirs. */
static void list_gather(RankSum *s, Exchange *e) {
    float *total = s->mail[s->first_node];
    for (int peer = 0; peer < s->ranks; peer++) {
        if (peer == s->rank) continue;
        add_send(e, peer, total + part_begin(s, s->rank), (size_t)part_count(s, s->rank) * sizeof(float));
        add_receive(e, peer, total + part_begin(s, peer), (size_t)part_count(s, peer) * sizeof(float));
    }
}

/* Whether messages travel from and to copies on the host. */
static bool is_copied(const RankSum *s) { return s->ranks > 1 && !s->nccl && !s->backend->host_memory; }

static void open_messages(RankSum *s) {
    const int64_t part = part_count(s, s->rank);
    const size_t most = (size_t)s->nodes * (size_t)s->ranks; /* (node, peer) */
    s->mail = memory_new((size_t)s->nodes, sizeof *s->mail);
    if (s->ranks > 1) s->inbox = backend_zeros(s->backend, s->nodes * part + LAYOUT_ALIGN);
    for (int i = 0; i < s->nodes; i++) {
        const bool mine = is_mine(s, i);
        s->vector[i] = mine ? backend_zeros(s->backend, s->count) : dev_floats_at(s->inbox, i * part);
        const size_t bytes = (size_t)(mine ? s->count : part) * sizeof(float);
        s->mail[i] = is_copied(s) ? backend_host_new(s->backend, bytes) : s->vector[i].address;
    }
    s->total = s->vector[s->first_node]; /* its parts are overwritten when they have been sent */
    s->scatter = exchange_new(2 * most);
    s->gather = exchange_new((size_t)s->ranks);
    s->tails_alone = exchange_new(most);
    list_scatter(s, &s->scatter);
    list_tails(s, s->nccl ? &s->tails_alone : &s->scatter);
    list_gather(s, &s->gather);
}

static void close_messages(RankSum *s) {
    for (int i = 0; i < s->nodes; i++) {
        if (is_copied(s)) backend_host_free(s->backend, s->mail[i]);
        if (is_mine(s, i)) s->backend->kernels->release(s->backend, s->vector[i].address);
    }
    if (s->inbox.address) s->backend->kernels->release(s->backend, s->inbox.address);
    exchange_free(&s->scatter);
    exchange_free(&s->gather);
    exchange_free(&s->tails_alone);
    free(s->mail);
}

/* Elements of a node's vector, from the backend before they are sent, and to it after they came. */
static void fetch(const RankSum *s, int node, int64_t begin, int64_t count) {
    if (is_copied(s))
        s->backend->kernels->download(s->backend, s->mail[node] + begin, dev_floats_at(s->vector[node], begin).address,
                                      (size_t)count * sizeof(float));
}

static void deliver(const RankSum *s, int node, int64_t begin, int64_t count) {
    if (is_copied(s))
        s->backend->kernels->upload(s->backend, dev_floats_at(s->vector[node], begin).address, s->mail[node] + begin,
                                    (size_t)count * sizeof(float));
}

static void exchange_by_mpi(const RankSum *s, const Exchange *e) {
    comm_exchange(s->comm, e->sends, e->send, e->receives, e->receive);
}

static void run_by_mpi(RankSum *s) {
    for (int i = 0; i < s->nodes; i++)
        if (is_mine(s, i)) fetch(s, i, 0, s->count);
    exchange_by_mpi(s, &s->scatter);
    for (int i = 0; i < s->nodes; i++)
        if (!is_mine(s, i)) deliver(s, i, 0, part_count(s, s->rank));
    sum_part(s);
    fetch(s, s->first_node, part_begin(s, s->rank), part_count(s, s->rank));
    exchange_by_mpi(s, &s->gather);
    deliver(s, s->first_node, 0, s->count);
}

/* --- NCCL */

static void exchange_by_nccl(const RankSum *s, const Exchange *e, const char *what) {
    comm_nccl_exchange(s->nccl, e->sends, e->send, e->receives, e->receive, s->backend->stream, what);
}

/* The same messages, which the stream orders; the tails are the host's, and go while the GPU is at it. */
static void run_by_nccl(RankSum *s) {
    static const char WHAT[] = "the exchange of gradients";
    exchange_by_nccl(s, &s->scatter, WHAT);
    sum_part(s);
    exchange_by_nccl(s, &s->gather, WHAT);
    exchange_by_mpi(s, &s->tails_alone);
    comm_nccl_wait(s->nccl, s->backend->stream, WHAT);
}

/* Own nodes meet in the first one's vector, which is the total, with room for the tails behind it. */
static void open_fast(RankSum *s) {
    const int end = s->first_node + nodes_of(s, s->rank);
    for (int i = s->first_node; i < end; i++) s->vector[i] = backend_zeros(s->backend, s->count + RANK_SUM_TAIL_MOST);
    s->total = s->vector[s->first_node];
}

static void close_fast(RankSum *s) {
    const int end = s->first_node + nodes_of(s, s->rank);
    for (int i = s->first_node; i < end; i++) s->backend->kernels->release(s->backend, s->vector[i].address);
}

static const char THE_SUM[] = "the sum of gradients";

bool rank_sum_is_fast(const RankSum *s) { return s->fast; }

bool rank_sum_is_recordable(const RankSum *s) { return comm_nccl_records(s->nccl); }

void rank_sum_run_fast(RankSum *s, int rows, DevDoubles tails) {
    const Kernels *kernels = s->backend->kernels;
    const int end = s->first_node + nodes_of(s, s->rank);
    const DevFloats behind = dev_floats_at(s->total, s->count);
    for (int i = s->first_node + 1; i < end; i++) kernels->add(s->backend, s->count, s->total, s->vector[i], s->total);
    kernels->sum_rows(s->backend, rows, s->tail, tails, behind);
    comm_nccl_sum(s->nccl, s->total.address, s->count + s->tail, s->backend->stream, THE_SUM);
    kernels->widen(s->backend, s->tail, behind, tails);
}

void rank_sum_wait(RankSum *s) {
    if (s->fast) comm_nccl_wait(s->nccl, s->backend->stream, THE_SUM);
}

/* --- */

RankSum *rank_sum_new(Comm *comm, CommNccl *nccl, Backend *backend, int lanes, int64_t count, int tail) {
    RankSum *s = memory_new(1, sizeof *s);
    *s = (RankSum){.comm = comm, .nccl = nccl, .backend = backend, .lanes = lanes, .count = count, .tail = tail};
    s->fast = nccl && comm_nccl_use(nccl) == NCCL_SUMS;
    s->rank = comm_rank(comm);
    s->ranks = comm_size(comm);
    require(s->ranks <= lanes && lanes <= LANES_MOST && count % LAYOUT_ALIGN == 0 && tail <= RANK_SUM_TAIL_MOST);
    list_nodes(s);
    s->vector = memory_new((size_t)s->nodes, sizeof *s->vector);
    s->tails = memory_new((size_t)s->nodes * (size_t)tail, sizeof *s->tails);
    if (s->fast)
        open_fast(s);
    else if (!open_shared(s))
        open_messages(s);
    /* once, of zeros: what a first time takes (memory, the kernel's code) must not wait for the GPU in the middle of an
     * exchange, where no deadline is watched */
    const Status room = backend_room(backend);
    if (s->nccl && !s->fast && s->ranks > 1 && !status_failed(&room)) sum_part(s);
    return s;
}

void rank_sum_free(RankSum *s) {
    if (!s) return;
    if (s->fast)
        close_fast(s);
    else if (!s->shared)
        close_messages(s);
    comm_shared_free(s->shared);
    free(s->node);
    free(s->owner);
    free(s->vector);
    free(s->tails);
    free(s);
}

DevFloats rank_sum_vector(const RankSum *s, int i) { return s->vector[s->first_node + i]; }

double *rank_sum_tail(const RankSum *s, int i) { return tail_of(s, s->first_node + i); }

DevFloats rank_sum_total(const RankSum *s) { return s->total; }

void rank_sum_run(RankSum *s, double *total_tail) {
    require(!s->fast);
    if (s->shared)
        run_shared(s);
    else if (s->ranks > 1 && s->nccl)
        run_by_nccl(s);
    else if (s->ranks > 1)
        run_by_mpi(s);
    lane_tree_sum_double(s->nodes, s->node, s->tails, s->tail, s->tail, total_tail);
}

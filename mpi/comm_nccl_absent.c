/* In place of comm_nccl.c where the build found no NCCL: there is never a CommNccl. */
#include "base/log.h"
#include "mpi/comm_nccl.h"

Status comm_nccl_find(int *version) {
    *version = 0;
    return status_error(RAM_UNAVAILABLE, "NCCL is not compiled into this program: build it where nccl.h and the CUDA "
                                         "toolkit are, or take --comm mpi");
}

Status comm_nccl_open(Comm *comm, const CommNcclOptions *options, CommNccl **nccl) {
    int version;
    (void)comm, (void)options;
    *nccl = NULL;
    return comm_nccl_find(&version);
}

void comm_nccl_free(CommNccl *nccl) { require(!nccl); }

NcclUse comm_nccl_use(const CommNccl *nccl) {
    (void)nccl;
    fatal("NCCL without NCCL");
}

bool comm_nccl_records(const CommNccl *nccl) {
    (void)nccl;
    fatal("NCCL without NCCL");
}

void comm_nccl_sum(CommNccl *nccl, float *floats, int64_t count, void *stream, const char *what) {
    (void)nccl, (void)floats, (void)count, (void)stream;
    fatal("%s: a sum by NCCL without NCCL", what);
}

void comm_nccl_exchange(CommNccl *nccl, int sends, const Message *send, int receives, const Message *receive,
                        void *stream, const char *what) {
    (void)nccl, (void)sends, (void)send, (void)receives, (void)receive, (void)stream;
    fatal("%s: an exchange by NCCL without NCCL", what);
}

void comm_nccl_wait(CommNccl *nccl, void *stream, const char *what) {
    (void)nccl, (void)stream;
    fatal("%s: waiting for NCCL without NCCL", what);
}

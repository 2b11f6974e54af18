#include "store/folder_check.h"
#include "base/clock.h"
#include "store/run_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

static const int64_t LEAST_FREE = 256 << 20; /* some checkpoints and traces */
enum { LOOKS = 50 };                         /* of 0.1 s each: what a network file system may take to show a new file */

static void name_system(const char *path, char name[32]) {
    static const struct {
        unsigned long type;
        const char *name;
    } known[] = {{0x6969, "nfs"},       {0x0BD00BD0, "lustre"},  {0x47504653, "gpfs"}, {0x19830326, "beegfs"},
                 {0x00C36400, "ceph"},  {0xEF53, "ext4"},        {0x58465342, "xfs"},  {0x9123683E, "btrfs"},
                 {0x01021994, "tmpfs"}, {0x794C7630, "overlay"}, {0x2FC12FC1, "zfs"},  {0x65735546, "fuse"},
                 {0xFF534D42, "cifs"},  {0xFE534D42, "smb2"},    {0x01021997, "9p"}};
    struct statfs facts;
    if (statfs(path, &facts) != 0) return;
    snprintf(name, 32, "type 0x%lx", (unsigned long)facts.f_type);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].type == (unsigned long)facts.f_type) snprintf(name, 32, "%s", known[i].name);
}

/* The nearest folder, from `run` upwards, that exists. */
static void find_place(const char *run, char path[FILE_PATH]) {
    struct stat entry;
    snprintf(path, FILE_PATH, "%s", run);
    while (stat(path, &entry) != 0) {
        char *slash = strrchr(path, '/');
        if (!slash)
            snprintf(path, FILE_PATH, ".");
        else if (slash == path)
            path[1] = '\0';
        else
            *slash = '\0';
    }
}

static Status check_unused(const char *run) {
    char path[FILE_PATH];
    TRY(atomic_file_join(path, run, ".lock"));
    if (access(path, R_OK | W_OK) != 0 && errno != ENOENT && errno != ENOTDIR)
        return status_error(RAM_IO, "cannot write the lock file %.300s: %s; choose another folder (run.dir)", path,
                            strerror(errno));
    if (!run_folder_in_use(run)) return status_ok();
    return status_error(RAM_USAGE,
                        "the run folder %.300s is in use by another process: wait for it to end, or choose another "
                        "folder (run.dir)",
                        run);
}

/* On rank 0: writes the file that all ranks look for. */
static Status write_probe(const char *run, const char *probe, FolderFacts *facts) {
    struct statvfs space;
    struct stat written;
    const double begin = clock_now();
    TRY(atomic_file_write(probe, "doctor\n", 7));
    facts->seconds = clock_now() - begin;
    if (stat(probe, &written) == 0)
        facts->clock_ahead =
            (double)written.st_mtim.tv_sec + 1e-9 * (double)written.st_mtim.tv_nsec - clock_date() + facts->seconds;
    name_system(facts->path, facts->system);
    if (statvfs(facts->path, &space) == 0) facts->free_bytes = (int64_t)space.f_bavail * (int64_t)space.f_frsize;
    if (facts->free_bytes < LEAST_FREE)
        return status_error(RAM_IO,
                            "%.300s has %lld MB left, too few for checkpoints: make room or choose another "
                            "folder (run.dir)",
                            facts->path, (long long)(facts->free_bytes >> 20));
    return check_unused(run);
}

static Status look_for(Comm *comm, const char *probe) {
    const struct timespec pause = {.tv_nsec = 100000000};
    for (int look = 0; look < LOOKS; look++) {
        if (access(probe, R_OK) == 0) return status_ok();
        nanosleep(&pause, NULL);
    }
    char host[256] = "?";
    gethostname(host, sizeof host - 1);
    return status_error(RAM_IO,
                        "rank %d on %s does not see %.300s, which rank 0 has written: the run folder must lie on a "
                        "file system that all hosts share (run.dir)",
                        comm_rank(comm), host, probe);
}

Status folder_check(Comm *comm, const char *run, FolderFacts *facts) {
    char probe[FILE_PATH] = "", name[64];
    Status status = status_ok();
    memset(facts, 0, sizeof *facts);
    if (comm_rank(comm) == 0) {
        find_place(run, facts->path);
        snprintf(name, sizeof name, ".doctor-%ld", (long)getpid());
        status = atomic_file_join(probe, facts->path, name);
        if (!status_failed(&status)) status = write_probe(run, probe, facts);
    }
    status = comm_agree(comm, status);
    comm_broadcast(comm, probe, sizeof probe, 0);
    if (!status_failed(&status)) status = comm_agree(comm, look_for(comm, probe));
    if (comm_rank(comm) == 0 && *probe) unlink(probe);
    return status;
}

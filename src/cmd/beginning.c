#include "cmd/beginning.h"
#include "base/log.h"
#include "base/memory.h"
#include "cmd/run_start.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { KEPT_MOST = 1 << 20 };
static const char CONFIG[] = "config.yaml";

/* The resolved configuration beside the results: running it again repeats the run. The origin comes first, and no
 * config.yaml beside a new one: so a start that is killed in between is known (resume_open). */
static Status write_files(Beginning *beginning) {
    char path[FILE_PATH], *text = NULL;
    size_t bytes = 0;
    const Resume *resume = beginning->resume;
    beginning->changed = true;
    TRY(atomic_file_join(path, beginning->folder, CONFIG));
    if (resume->checkpoint && !resume->own && unlink(path) != 0 && errno != ENOENT)
        return atomic_file_error("delete", path, errno);
    TRY(resume_note_origin(resume, beginning->folder));
    FILE *memory = memory_stream_open(&text, &bytes);
    config_write_yaml(&beginning->session->arguments.config, memory, false);
    memory_stream_close(memory);
    const Status status = atomic_file_write(path, text, bytes);
    free(text);
    return status;
}

static Status keep(const char *folder, const char *name, KeptFile *kept) {
    char path[FILE_PATH];
    if (!atomic_file_is_in(folder, name)) return status_ok();
    TRY(atomic_file_join(path, folder, name));
    return atomic_file_read(path, KEPT_MOST, &kept->data, &kept->bytes);
}

static void put_back(const char *folder, const char *name, const KeptFile *kept) {
    char path[FILE_PATH];
    Status status = atomic_file_join(path, folder, name);
    if (!status_failed(&status) && kept->data) status = atomic_file_write(path, kept->data, kept->bytes);
    if (!status_failed(&status) && !kept->data) unlink(path);
    if (status_failed(&status)) log_warning("%s; %s is not as it was before this start", status.message, name);
}

static Status open_files(Beginning *beginning) {
    TRY(keep(beginning->folder, CONFIG, &beginning->config));
    TRY(keep(beginning->folder, RESUME_ORIGIN, &beginning->origin));
    return run_start_holds_run(beginning->folder) ? status_ok() : write_files(beginning);
}

Status beginning_open(Beginning *beginning, const Session *session, const Resume *resume, const char *folder) {
    *beginning = (Beginning){.session = session, .resume = resume, .folder = folder};
    return comm_agree(session->comm, comm_rank(session->comm) == 0 ? open_files(beginning) : status_ok());
}

Status beginning_confirm(void *context) {
    Beginning *beginning = context;
    Comm *comm = beginning->session->comm;
    const bool writes = comm_rank(comm) == 0 && !beginning->changed;
    TRY(comm_agree(comm, writes ? write_files(beginning) : status_ok()));
    beginning->begun = true;
    return status_ok();
}

void beginning_close(Beginning *beginning) {
    if (beginning->changed && !beginning->begun) {
        put_back(beginning->folder, CONFIG, &beginning->config);
        put_back(beginning->folder, RESUME_ORIGIN, &beginning->origin);
    }
    free(beginning->config.data);
    free(beginning->origin.data);
    *beginning = (Beginning){0};
}

#include "mpi/host.h"
#include "base/free_memory.h"
#include "mpi/cores.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* --- GPUs */

/* Entries of a list "0,1,2"; 0 for "" and NULL. */
static int list_count(const char *list) {
    int count = list && *list ? 1 : 0;
    for (const char *comma = list; count > 0 && (comma = strchr(comma, ',')) != NULL; comma++) count++;
    return count;
}

static void list_entry(const char *list, int entry, char text[HOST_TEXT]) {
    for (; entry > 0; entry--) list = strchr(list, ',') + 1;
    snprintf(text, HOST_TEXT, "%.*s", (int)strcspn(list, ","), list);
}

/* GPUs of this host by NVIDIA's driver, else as many as Slurm gave this job here; 0: none. */
static int host_devices(void) {
    int count = 0;
    DIR *folder = opendir("/proc/driver/nvidia/gpus");
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) count += entry->d_name[0] != '.';
    if (folder) closedir(folder);
    const char *granted = getenv("SLURM_GPUS_ON_NODE");
    return count > 0 || !granted ? count : atoi(granted);
}

/* Where Slurm confines ranks to their GPUs, CUDA's numbers begin at 0 in each; Slurm's own lists have the host's. */
static const char *host_numbers(int count) {
    static const char *const lists[] = {"SLURM_STEP_GPUS", "SLURM_JOB_GPUS"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (list_count(getenv(lists[i])) == count) return getenv(lists[i]);
    return NULL;
}

static void find_devices(int local_rank, HostFacts *facts) {
    const char *list = getenv("CUDA_VISIBLE_DEVICES");
    int count = list ? list_count(list) : host_devices();
    if (count == 0 || (list && *list == '-')) { /* -1 hides all */
        snprintf(facts->visible, sizeof facts->visible, "none");
        return;
    }
    snprintf(facts->visible, sizeof facts->visible, "%s", list ? list : "all");
    const int own = local_rank % count;
    const char *numbers = list ? host_numbers(count) : NULL;
    const bool uuid = list && (*list < '0' || *list > '9'); /* "GPU-..." or "MIG-..." names a device wherever it is */
    if (list)
        list_entry(numbers && !uuid ? numbers : list, own, facts->device);
    else
        snprintf(facts->device, sizeof facts->device, "%d", own);
}

/* The driver's UUID of the GPU with this number, in the order of the bus. */
static void add_uuid(char device[HOST_TEXT]) {
    struct dirent **entry = NULL;
    const int count = scandir("/proc/driver/nvidia/gpus", &entry, NULL, alphasort);
    int wanted = *device >= '0' && *device <= '9' ? atoi(device) : -1;
    for (int i = 0; i < count; i++) {
        char path[512], line[256], uuid[64];
        if (entry[i]->d_name[0] != '.' && wanted-- == 0) {
            snprintf(path, sizeof path, "/proc/driver/nvidia/gpus/%s/information", entry[i]->d_name);
            FILE *file = fopen(path, "re");
            while (file && fgets(line, sizeof line, file))
                if (sscanf(line, "GPU UUID: %63s", uuid) == 1) snprintf(device, HOST_TEXT, "%s", uuid);
            if (file) fclose(file);
        }
        free(entry[i]);
    }
    free(entry);
}

/* --- limits */

static int64_t limit(int resource) {
    struct rlimit value;
    if (getrlimit(resource, &value) != 0 || value.rlim_cur == RLIM_INFINITY) return HOST_UNLIMITED;
    return (int64_t)value.rlim_cur;
}

void host_facts(int local_rank, HostFacts *facts) {
    struct statvfs shared;
    const CoreMask mask = cores_mask(0);
    memset(facts, 0, sizeof *facts);
    gethostname(facts->name, sizeof facts->name - 1);
    /* fake nodes of one host differ by Slurm's name alone */
    const char *node = getenv("SLURMD_NODENAME");
    if (node && *node) snprintf(facts->name, sizeof facts->name, "%s", node);
    cores_text(&mask, facts->cores, sizeof facts->cores);
    find_devices(local_rank, facts);
    add_uuid(facts->device);
    facts->files = limit(RLIMIT_NOFILE);
    facts->locked = limit(RLIMIT_MEMLOCK);
    facts->file_size = limit(RLIMIT_FSIZE);
    facts->address_space = limit(RLIMIT_AS);
    const int64_t memory = free_memory();
    facts->memory = memory < INT64_MAX ? memory : 0;
    if (statvfs("/dev/shm", &shared) == 0) facts->shared_memory = (int64_t)(shared.f_bavail * shared.f_frsize);
}

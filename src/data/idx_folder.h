/* IdxFolder: how the four IDX files of a data set are named in their folder, and which of two spellings is read.
 * Must not know what the files hold. Nothing here is collective. */
#ifndef RAM_DATA_IDX_FOLDER_H
#define RAM_DATA_IDX_FOLDER_H

#include "data/dataset.h"

typedef enum { IDX_TRAIN_IMAGES, IDX_TRAIN_LABELS, IDX_TEST_IMAGES, IDX_TEST_LABELS, IDX_FILES } IdxFile;

typedef struct {
    const char *directory, *prefix;
    char unread[1024]; /* what idx_folder_find passed over, for idx_folder_warn */
} IdxFolder;

/* path = the file as it lies in the folder. RAM_USAGE where it does not, with the prefix that would find one. */
Status idx_folder_find(IdxFolder *folder, IdxFile file, char path[DATASET_PATH]);

/* One warning for all files that lie there under a second name, which is not read. */
void idx_folder_warn(const IdxFolder *folder);

#endif

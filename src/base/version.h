/* What this build is: for --version and provenance. */
#ifndef RAM_BASE_VERSION_H
#define RAM_BASE_VERSION_H

const char *version_number(void);   /* "0.1.0" */
const char *version_revision(void); /* git revision, "+changes" appended when the tree differed */
const char *version_compiler(void);

#endif

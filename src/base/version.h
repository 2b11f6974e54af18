/* Version: what this build is, for --version and provenance. The texts are static. Nothing is collective. */
#ifndef RAM_BASE_VERSION_H
#define RAM_BASE_VERSION_H

const char *version_number(void);   /* "0.1.0" */
const char *version_revision(void); /* git revision, "+changes" appended when the tree differed */
const char *version_compiler(void);

#endif

/* syncfs(2): the Glibc module leaves it out, because unistd.h shows it to _GNU_SOURCE only. */
#ifndef FIELDPOST_CSYNCFS_H
#define FIELDPOST_CSYNCFS_H
int syncfs(int descriptor);
#endif

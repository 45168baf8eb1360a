/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Write-back: passes, the flusher, the writers, and how writers of pages are held back.
 */
#ifndef WRITEBACK_ITER_FILE_WRITEBACK_H
#define WRITEBACK_ITER_FILE_WRITEBACK_H

#include "inode.h"
#include "page_frame.h"
#include "page_writeback.h"

int writeback_start(void);
int start_engine_thread(void *(*function)(void *));
void writeback_set_limits(const struct file_limits *limits);
void writeback_account_dirtied(struct inode *inode);
void writeback_note_written(struct inode *inode, pgoff_t index);
void writeback_account_cleaned(struct inode *inode);
bool writeback_over_limit(void);
void balance_dirty_pages(void);

int inode_write_and_wait(struct inode *inode, int64_t start, int64_t end);
int64_t inode_writeback(struct inode *inode, int64_t nr_to_write);
int inode_fsync(struct inode *inode, int64_t start, int64_t end, bool data_only);
void inode_forget(struct inode *inode);

/* For page_frame.c and reclaim.c. */
void writeback_wake_populator(void);
void writeback_note_progress(void);
void writeback_frame_freed(void);
frame_t writeback_wait_for_frame(struct inode *owner, pgoff_t index, int *error);
frame_t reclaim_frame(struct inode *owner, pgoff_t index);

#endif

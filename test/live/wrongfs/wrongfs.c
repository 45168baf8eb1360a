// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file system over the page cache alone, whose writepages breaks one rule of the writeback protocol. The
 * source of the mount names the rule: `mount -t wrongfs start-once /mnt`. It is for `writeback-iter check`,
 * in a guest that is discarded: most of these breaches make a task hang.
 */
#include <linux/backing-dev.h>
#include <linux/fs.h>
#include <linux/fs_context.h>
#include <linux/module.h>
#include <linux/pagemap.h>
#include <linux/writeback.h>


/* Whether this mount breaks a rule. */
static bool breaks_rule(const struct address_space *mapping, const char *name)
{
	return strcmp(mapping->host->i_sb->s_fs_info, name) == 0;
}

/* Writes a folio, which takes no time; writepages hands the returned error back. */
static int wrongfs_write_folio(struct address_space *mapping, struct folio *folio, struct writeback_control *wbc)
{
	if (breaks_rule(mapping, "unlock-returned"))
		return 0;
	if (breaks_rule(mapping, "written")) {
		folio_unlock(folio);
		return 0;
	}
	if (breaks_rule(mapping, "start-locked"))
		folio_unlock(folio);
	if (breaks_rule(mapping, "towrite"))
		folio_start_writeback_keepwrite(folio);
	else
		folio_start_writeback(folio);
	if (breaks_rule(mapping, "start-once"))
		folio_start_writeback(folio);
	if (breaks_rule(mapping, "remove-written"))
		generic_error_remove_folio(mapping, folio);
	if (!breaks_rule(mapping, "start-locked"))
		folio_unlock(folio);
	if (breaks_rule(mapping, "unlock-held"))
		folio_unlock(folio);
	if (!breaks_rule(mapping, "writeback-ends"))
		folio_end_writeback(folio);
	if (breaks_rule(mapping, "end-once"))
		folio_end_writeback(folio);
	if (breaks_rule(mapping, "integrity"))
		wbc->range_end = 0; /* the pass writes the batch, and looks up no more folios */
	if (breaks_rule(mapping, "positive-error"))
		return EIO;
	return breaks_rule(mapping, "writepage-activate") ? AOP_WRITEPAGE_ACTIVATE : 0;
}

static int wrongfs_writepages(struct address_space *mapping, struct writeback_control *wbc)
{
	struct folio *folio = NULL;
	int error;

	while ((folio = writeback_iter(mapping, wbc, folio, &error))) {
		error = wrongfs_write_folio(mapping, folio, wbc);
		if (breaks_rule(mapping, "until-null"))
			return error;
	}
	return error;
}

static int wrongfs_write_end(struct file *file, struct address_space *mapping, loff_t pos, unsigned int len,
			     unsigned int copied, struct folio *folio, void *fsdata)
{
	if (!folio_test_uptodate(folio))
		folio_mark_uptodate(folio);
	if (pos + copied > i_size_read(mapping->host))
		i_size_write(mapping->host, pos + copied);
	folio_mark_dirty(folio);
	folio_unlock(folio);
	folio_put(folio);
	return copied;
}

static const struct address_space_operations wrongfs_aops = {
	.writepages = wrongfs_writepages,
	.write_begin = simple_write_begin,
	.write_end = wrongfs_write_end,
	.dirty_folio = filemap_dirty_folio,
};

static int wrongfs_fsync(struct file *file, loff_t start, loff_t end, int datasync)
{
	return file_write_and_wait_range(file, start, end);
}

static const struct file_operations wrongfs_file_operations = {
	.read_iter = generic_file_read_iter,
	.write_iter = generic_file_write_iter,
	.fsync = wrongfs_fsync,
	.llseek = generic_file_llseek,
};

static const struct inode_operations wrongfs_dir_inode_operations;

static struct inode *wrongfs_inode(struct super_block *sb, umode_t mode)
{
	struct inode *inode = new_inode(sb);

	if (!inode)
		return NULL;
	inode->i_ino = get_next_ino();
	inode_init_owner(&nop_mnt_idmap, inode, NULL, mode);
	simple_inode_init_ts(inode);
	if (S_ISDIR(mode)) {
		inode->i_op = &wrongfs_dir_inode_operations;
		inode->i_fop = &simple_dir_operations;
		inc_nlink(inode);
	} else {
		inode->i_op = &simple_symlink_inode_operations;
		inode->i_fop = &wrongfs_file_operations;
		inode->i_mapping->a_ops = &wrongfs_aops;
	}
	insert_inode_hash(inode);
	return inode;
}

static int wrongfs_create(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode, bool excl)
{
	struct inode *inode = wrongfs_inode(dir->i_sb, mode | S_IFREG);

	if (!inode)
		return -ENOSPC;
	inode->i_op = &simple_dir_inode_operations;
	d_instantiate(dentry, inode);
	dget(dentry);
	return 0;
}

static const struct inode_operations wrongfs_dir_inode_operations = {
	.create = wrongfs_create,
	.lookup = simple_lookup,
	.unlink = simple_unlink,
};

static const struct super_operations wrongfs_super_operations = {
	.statfs = simple_statfs,
	.drop_inode = generic_delete_inode,
};

static int wrongfs_fill_super(struct super_block *sb, struct fs_context *fc)
{
	int error = super_setup_bdi(sb);

	if (error)
		return error;
	sb->s_blocksize = PAGE_SIZE;
	sb->s_blocksize_bits = PAGE_SHIFT;
	sb->s_maxbytes = MAX_LFS_FILESIZE;
	sb->s_magic = 0x776f6e67;
	sb->s_op = &wrongfs_super_operations;
	sb->s_time_gran = 1;
	sb->s_fs_info = kstrdup(fc->source ?: "none", GFP_KERNEL);
	if (!sb->s_fs_info)
		return -ENOMEM;
	sb->s_root = d_make_root(wrongfs_inode(sb, S_IFDIR | 0755));
	return sb->s_root ? 0 : -ENOMEM;
}

static int wrongfs_get_tree(struct fs_context *fc)
{
	return get_tree_nodev(fc, wrongfs_fill_super);
}

static const struct fs_context_operations wrongfs_context_operations = {
	.get_tree = wrongfs_get_tree,
};

static int wrongfs_init_fs_context(struct fs_context *fc)
{
	fc->ops = &wrongfs_context_operations;
	return 0;
}

static void wrongfs_kill_sb(struct super_block *sb)
{
	kill_litter_super(sb);
	kfree(sb->s_fs_info);
}

static struct file_system_type wrongfs_type = {
	.owner = THIS_MODULE,
	.name = "wrongfs",
	.init_fs_context = wrongfs_init_fs_context,
	.kill_sb = wrongfs_kill_sb,
};

static int __init wrongfs_init(void)
{
	return register_filesystem(&wrongfs_type);
}

static void __exit wrongfs_exit(void)
{
	unregister_filesystem(&wrongfs_type);
}

module_init(wrongfs_init);
module_exit(wrongfs_exit);
MODULE_DESCRIPTION("A file system that breaks one rule of writeback");
MODULE_LICENSE("GPL");

// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * An NTB client. What is written to /sys/kernel/debug/@NAME@ in one guest is read from there in the
 * other: each lends a page to its peer and tells it where by a message; the peer points its window
 * there, writes into it, and rings a doorbell.
 */
#include <linux/debugfs.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/ntb.h>
#include <linux/pci.h>

#define PEER	0		/* the first of those that there are */
#define WINDOW	0
#define BELL	BIT_ULL(0)

static struct ntb_dev *ntb;
static struct dentry *file;
static void *lent;			/* the peer writes here */
static dma_addr_t lent_at;
static void __iomem *window;		/* and we there */
static bool open, rung;
static DECLARE_WAIT_QUEUE_HEAD(bell);

static void @NAME@_link(void *ctx)
{
	if (ntb_link_is_up(ntb, NULL, NULL))
		ntb_peer_msg_write(ntb, PEER, 0, lent_at >> PAGE_SHIFT);
	else
		WRITE_ONCE(open, false);
}

static void @NAME@_msg(void *ctx)
{
	int peer;
	u64 page = ntb_msg_read(ntb, &peer, 0);

	ntb_msg_clear_sts(ntb, ntb_msg_inbits(ntb));
	WRITE_ONCE(open, !ntb_peer_mw_set_trans(ntb, PEER, WINDOW, page << PAGE_SHIFT, PAGE_SIZE));
}

static void @NAME@_bell(void *ctx, int vector)
{
	ntb_db_clear(ntb, ntb_db_read(ntb));
	WRITE_ONCE(rung, true);
	wake_up_interruptible(&bell);
}

static const struct ntb_ctx_ops events = {
	.link_event = @NAME@_link, .msg_event = @NAME@_msg, .db_event = @NAME@_bell,
};

/* Waits until the peer has rung */
static ssize_t @NAME@_read(struct file *f, char __user *to, size_t size, loff_t *at)
{
	if (*at)
		return 0;
	if (wait_event_interruptible(bell, READ_ONCE(rung)))
		return -ERESTARTSYS;
	WRITE_ONCE(rung, false);
	return simple_read_from_buffer(to, size, at, lent, strnlen(lent, PAGE_SIZE));
}

static ssize_t @NAME@_write(struct file *f, const char __user *from, size_t size, loff_t *at)
{
	char *text;

	if (!READ_ONCE(open))
		return -ENOTCONN;
	text = memdup_user_nul(from, min_t(size_t, size, PAGE_SIZE - 1));
	if (IS_ERR(text))
		return PTR_ERR(text);
	memcpy_toio(window, text, strlen(text) + 1);
	kfree(text);
	ntb_peer_db_set(ntb, BELL);
	return size;
}

static const struct file_operations fops = { .read = @NAME@_read, .write = @NAME@_write };

static int @NAME@_probe(struct ntb_client *client, struct ntb_dev *dev)
{
	phys_addr_t base;
	resource_size_t size;

	ntb = dev;
	lent = dma_alloc_coherent(&ntb->pdev->dev, PAGE_SIZE, &lent_at, GFP_KERNEL);
	if (lent && !ntb_peer_mw_get_addr(ntb, WINDOW, &base, &size))
		window = ioremap_wc(base, PAGE_SIZE);
	if (!window)
		return -ENOMEM;
	file = debugfs_create_file("@NAME@", 0600, NULL, NULL, &fops);
	ntb_set_ctx(ntb, NULL, &events);
	ntb_msg_clear_sts(ntb, ntb_msg_inbits(ntb));
	ntb_msg_clear_mask(ntb, ntb_msg_inbits(ntb));
	ntb_db_clear_mask(ntb, ntb_db_valid_mask(ntb));
	ntb_link_enable(ntb, NTB_SPEED_AUTO, NTB_WIDTH_AUTO);
	ntb_link_event(ntb);
	return 0;
}

static void @NAME@_remove(struct ntb_client *client, struct ntb_dev *dev)
{
	debugfs_remove(file);
	ntb_link_disable(ntb);
	ntb_clear_ctx(ntb);
	ntb_peer_mw_clear_trans(ntb, PEER, WINDOW);
	iounmap(window);
	dma_free_coherent(&ntb->pdev->dev, PAGE_SIZE, lent, lent_at);
}

static struct ntb_client @NAME@_client = {
	.ops = { .probe = @NAME@_probe, .remove = @NAME@_remove },
};
module_ntb_client(@NAME@_client);
MODULE_DESCRIPTION("An NTB client");
MODULE_LICENSE("GPL");

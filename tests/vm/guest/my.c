/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * A driver as its writer has it on a bad day: "oops", "warn" or "spin", written to /proc/my, does
 * that. What spins goes on when my_spins becomes 0, which somebody outside the guest can see to.
 */
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/uaccess.h>

static int my_spins;

static noinline void my_oops(void)
{
	*(volatile int *)8 = 42;
}

static noinline void my_warn(void)
{
	WARN(1, "the peer sent %d words\n", 3);
}

static noinline void my_spin(void)
{
	unsigned long flags;

	WRITE_ONCE(my_spins, 1);
	local_irq_save(flags);
	while (READ_ONCE(my_spins))
		cpu_relax();
	local_irq_restore(flags);
}

static ssize_t my_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	char word[8] = "";

	if (copy_from_user(word, from, min(size, sizeof(word) - 1)))
		return -EFAULT;
	if (!strncmp(word, "oops", 4))
		my_oops();
	if (!strncmp(word, "warn", 4))
		my_warn();
	if (!strncmp(word, "spin", 4))
		my_spin();
	return size;
}

static const struct proc_ops my_ops = { .proc_write = my_write };

static int __init my_init(void)
{
	return proc_create("my", 0200, NULL, &my_ops) ? 0 : -ENOMEM;
}

static void __exit my_exit(void)
{
	remove_proc_entry("my", NULL);
}

module_init(my_init);
module_exit(my_exit);
MODULE_DESCRIPTION("A driver on a bad day");
MODULE_LICENSE("GPL");

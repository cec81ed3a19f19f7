/* SPDX-License-Identifier: MIT */
/*
 * Round trips of interrupts between two guests, by an NTB port or by an
 * ivshmem-doorbell.
 *
 *     insmod bell.ko part=1 echo=1                      guest 2 answers
 *     insmod bell.ko part=0                             guest 1 asks:
 *     echo 10000 > /sys/module/bell/parameters/ntb      so many round trips
 *     cat /sys/module/bell/parameters/ntb               took so many nanoseconds
 *
 * and "ivshmem" in the place of "ntb". The handler of the NTB port accesses
 * three registers: which doorbells rang, clear them, ring. That of the
 * ivshmem-doorbell needs one; with extra=2 it accesses as many.
 */
#include <linux/completion.h>
#include <linux/interrupt.h>
#include <linux/io.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pci.h>

/* 89HPES24NT6AG2, BAR0 */
#define NTINTMSK        0x408
#define   NTINTMSK_ALL    0xbb
#define   NTINT_DBELL     0x02
#define OUTDBELLSET     0x420
#define INDBELLSTS      0x428
#define INDBELLMSK      0x42c

/* ivshmem-spec, BAR0 */
#define IVPOSITION      8
#define DOORBELL        12

#define PATIENCE        (60 * HZ)

struct bell {
	void __iomem *regs;
	u32 peer;			/* ivshmem: what rings the other guest */
	unsigned int left;		/* round trips still to be made */
	u64 ns;				/* that the last ones took */
	struct completion done;
};

static struct bell ntb, ivshmem;
static bool echo;
static unsigned int part, extra;

module_param(echo, bool, 0644);
module_param(part, uint, 0444);
module_param(extra, uint, 0644);

static void ring_ntb(struct bell *bell)
{
	writel(BIT(part), bell->regs + OUTDBELLSET);
}

static void ring_ivshmem(struct bell *bell)
{
	writel(bell->peer, bell->regs + DOORBELL);
}

static irqreturn_t heard(struct bell *bell, void (*ring)(struct bell *bell))
{
	if (bell->left && !--bell->left)
		complete(&bell->done);
	else if (bell->left || echo)
		ring(bell);
	return IRQ_HANDLED;
}

static irqreturn_t ntb_irq(int irq, void *data)
{
	struct bell *bell = data;
	u32 bits = readl(bell->regs + INDBELLSTS);

	if (!bits)
		return IRQ_NONE;
	writel(bits, bell->regs + INDBELLSTS);
	return heard(bell, ring_ntb);
}

static irqreturn_t ivshmem_irq(int irq, void *data)
{
	struct bell *bell = data;

	for (unsigned int i = 0; i < extra; i++)
		readl(bell->regs + IVPOSITION);
	return heard(bell, ring_ivshmem);
}

static int go(const char *text, const struct kernel_param *kp)
{
	struct bell *bell = kp->arg;
	unsigned int count;
	u64 begun;
	int ret = kstrtouint(text, 0, &count);

	if (ret)
		return ret;
	if (!bell->regs || !count)
		return -EINVAL;
	reinit_completion(&bell->done);
	bell->left = count;
	begun = ktime_get_ns();
	if (bell == &ntb)
		ring_ntb(bell);
	else
		ring_ivshmem(bell);
	if (!wait_for_completion_timeout(&bell->done, PATIENCE)) {
		bell->left = 0;
		return -ETIMEDOUT;
	}
	bell->ns = ktime_get_ns() - begun;
	return 0;
}

static int spent(char *text, const struct kernel_param *kp)
{
	const struct bell *bell = kp->arg;

	return sysfs_emit(text, "%llu\n", bell->ns);
}

static const struct kernel_param_ops ops = { .set = go, .get = spent };

module_param_cb(ntb, &ops, &ntb, 0644);
module_param_cb(ivshmem, &ops, &ivshmem, 0644);

static void listen(struct bell *bell, struct pci_dev *pdev)
{
	if (bell == &ntb) {
		writel(~0u, bell->regs + INDBELLSTS);
		writel(0, bell->regs + INDBELLMSK);
		writel(NTINTMSK_ALL & ~NTINT_DBELL, bell->regs + NTINTMSK);
	} else {
		/* Two guests: the server has numbered them 0 and 1 */
		bell->peer = !readl(bell->regs + IVPOSITION) << 16;
	}
}

static int probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct bell *bell = (struct bell *)id->driver_data;
	int ret = pcim_enable_device(pdev);

	if (!ret)
		ret = pcim_iomap_regions(pdev, BIT(0), KBUILD_MODNAME);
	if (ret)
		return ret;
	pci_set_master(pdev);
	ret = pci_alloc_irq_vectors(pdev, 1, 1, PCI_IRQ_MSI | PCI_IRQ_MSIX);
	if (ret < 0)
		return ret;
	init_completion(&bell->done);
	bell->regs = pcim_iomap_table(pdev)[0];
	ret = request_irq(pci_irq_vector(pdev, 0),
			  bell == &ntb ? ntb_irq : ivshmem_irq, 0,
			  KBUILD_MODNAME, bell);
	if (ret) {
		pci_free_irq_vectors(pdev);
		bell->regs = NULL;
		return ret;
	}
	listen(bell, pdev);
	return 0;
}

static void leave(struct pci_dev *pdev)
{
	struct bell *bell = pdev->vendor == PCI_VENDOR_ID_IDT ? &ntb : &ivshmem;

	free_irq(pci_irq_vector(pdev, 0), bell);
	pci_free_irq_vectors(pdev);
	bell->regs = NULL;
}

static const struct pci_device_id ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_IDT, 0x8091),
	  .driver_data = (kernel_ulong_t)&ntb },
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT_QUMRANET, 0x1110),
	  .driver_data = (kernel_ulong_t)&ivshmem },
	{ }
};

static struct pci_driver bell_driver = {
	.name = KBUILD_MODNAME,
	.id_table = ids,
	.probe = probe,
	.remove = leave,
};
module_pci_driver(bell_driver);

MODULE_DESCRIPTION("Round trips of interrupts between two guests");
MODULE_LICENSE("Dual MIT/GPL");

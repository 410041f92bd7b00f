package inspect

import (
	"context"
	"fmt"
	"os"
	"time"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/builder"
	"imagecache.dev/internal/disk"
)

// Bounds of the measurement of the disk, and the rate below which the disk bounds pulls. A gp3 volume takes 125 MiB a
// second by default: https://docs.aws.amazon.com/ebs/latest/userguide/general-purpose.html
const (
	diskBytes         = 512 << 20
	diskLimit         = 2 * time.Second
	slowDiskPerSecond = 200e6
)

const diskAdvice = "every pulled image is written to this disk; give the volume more throughput (a gp3 volume has 125 MiB/s by default)"

// machine checks whether this machine can build, and how fast it can unpack images. A machine that only inspects the
// cache need not build.
func (d *Doctor) machine(ctx context.Context) []Finding {
	f := &findings{area: areaMachine}
	engine, err := d.FindEngine(ctx)
	if err == nil {
		err = engine.Ready()
	}
	if err != nil {
		f.add("builder", ResultWarning, err.Error(), "imagecache prepare needs a builder on the machine that it runs on")
		return f.list
	}
	f.ok("builder", engine.Name())
	store, err := builder.StoreFolder(ctx, engine)
	if err != nil {
		f.add("disk", ResultWarning, err.Error(), "check that "+engine.Name()+" info works")
		return f.list
	}
	if store != "" {
		f.list = append(f.list, diskFinding(ctx, store, os.TempDir()))
	}
	return f.list
}

// composeFindings check whether this machine can build and start the services of a project whose images are cached.
func (d *Doctor) composeFindings(ctx context.Context, project *v1alpha1.ProjectImageCache) []Finding {
	if project.Spec.Compose != v1alpha1.ComposePolicyCached {
		return nil
	}
	f := &findings{area: areaMachine}
	const check = "Docker Compose"
	engine, err := d.FindEngine(ctx)
	if err != nil {
		return nil // machine reports it
	}
	if err := builder.ComposeReady(ctx, engine, ""); err != nil {
		f.add(check, ResultWarning, err.Error(), "the project caches Docker Compose services, which this machine can't prepare")
		return f.list
	}
	f.ok(check, "the project's services can be built and started here")
	return f.list
}

// diskFinding measures the disk of the engine's store. A user who can't write there can measure a temporary folder
// instead, if it is on the same disk.
func diskFinding(ctx context.Context, store, temporary string) Finding {
	speed, err := disk.MeasureWrite(ctx, store, diskBytes, diskLimit)
	if err != nil && disk.SameDisk(store, temporary) {
		speed, err = disk.MeasureWrite(ctx, temporary, diskBytes, diskLimit)
	}
	finding := Finding{Area: areaMachine, Check: "disk"}
	if err != nil {
		finding.Result = ResultSkipped
		finding.Message = fmt.Sprintf("the store %s can't be measured from here: %v", store, err)
		return finding
	}
	return judgeDisk(finding, store, speed)
}

// judgeDisk completes the finding for a measured speed.
func judgeDisk(finding Finding, store string, speed disk.Speed) Finding {
	rate := speed.BytesPerSecond()
	finding.Message = fmt.Sprintf("%s takes %.0f MB/s", store, float64(rate)/1e6)
	finding.Result = ResultOK
	if rate < slowDiskPerSecond {
		finding.Result, finding.Advice = ResultWarning, diskAdvice
	}
	return finding
}

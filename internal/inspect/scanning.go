package inspect

import (
	"context"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
)

// scanning compares the registry's scanning configuration with the runner's: Amazon Inspector reads images only if both
// ask for it.
func (f *findings) scanning(
	ctx context.Context, clients *aws.Clients, runner *v1alpha1.RunnerImageCache, repository string,
) {
	registry, err := ecr.ReadScanning(ctx, clients)
	if err != nil {
		f.awsError("scanning", err)
		return
	}
	result, text, advice := judgeScanning(runner.Spec.Scanning, registry, repository)
	if result != "" {
		f.add("scanning", result, text, advice)
	}
}

// judgeScanning decides about a repository's scans. It returns no result if nobody asks for Amazon Inspector.
func judgeScanning(
	scanning v1alpha1.Scanning, registry ecr.Scanning, repository string,
) (result Result, text, advice string) {
	inspected := registry.Enhanced && registry.Selects(repository)
	switch wanted := scanning == v1alpha1.ScanningAmazonInspector; {
	case wanted && inspected:
		return ResultOK, "Amazon Inspector may read the images, and the registry lets it scan them", ""
	case wanted && registry.Enhanced:
		return ResultWarning, "no filter of the registry's enhanced scanning selects " + repository,
			"add a filter such as gitpod-runner-* in the registry's settings"
	case wanted:
		return ResultWarning, "Amazon Inspector scans nothing here: the registry's scan type is basic",
			"switch enhanced scanning on in the registry's settings, or remove spec.scanning of the RunnerImageCache"
	case inspected:
		return ResultWarning, "the registry lets Amazon Inspector scan the images, but the repository's policy keeps it out",
			"set spec.scanning of the RunnerImageCache to AmazonInspector"
	}
	return "", "", ""
}

package inspect

import (
	"context"
	"slices"

	"imagecache.dev/api/v1alpha1"
	"imagecache.dev/internal/aws"
	"imagecache.dev/internal/ecr"
	"imagecache.dev/internal/sessionpolicy"
)

// scanning compares the registry's scanning configuration with the repository's policy: Amazon Inspector reads images
// only if both let it.
func (f *findings) scanning(
	ctx context.Context, clients *aws.Clients, caller aws.Identity, runner *v1alpha1.RunnerImageCache,
	project *v1alpha1.ProjectImageCache,
) {
	registry, err := ecr.ReadScanning(ctx, clients)
	if err != nil {
		f.awsError("scanning", err)
		return
	}
	admitted := admitsInspector(caller, runner, project)
	result, text, advice := judgeScanning(admitted, registry, project.Status.Repository.Name)
	if result != "" {
		f.add("scanning", result, text, advice)
	}
}

// admitsInspector reports whether a repository's policy names Amazon Inspector's role among its readers.
func admitsInspector(
	caller aws.Identity, runner *v1alpha1.RunnerImageCache, project *v1alpha1.ProjectImageCache,
) bool {
	role := sessionpolicy.InspectorRoleARN(caller.Partition, caller.AccountID)
	return runner.Spec.Scanning == v1alpha1.ScanningAmazonInspector || slices.Contains(project.Spec.Readers, role)
}

// judgeScanning decides about a repository's scans. It returns no result if nobody asks for Amazon Inspector.
func judgeScanning(
	admitted bool, registry ecr.Scanning, repository string,
) (result Result, text, advice string) {
	inspected := registry.Enhanced && registry.Selects(repository)
	switch {
	case admitted && inspected:
		return ResultOK, "Amazon Inspector may read the images, and the registry lets it scan them", ""
	case admitted && registry.Enhanced:
		return ResultWarning, "no filter of the registry's enhanced scanning selects " + repository,
			"add a filter such as gitpod-runner-* in the registry's settings"
	case admitted:
		return ResultWarning, "Amazon Inspector scans nothing here: the registry's scan type is basic",
			"switch enhanced scanning on in the registry's settings, or remove spec.scanning of the RunnerImageCache and its role from the project's readers"
	case inspected:
		return ResultWarning, "the registry lets Amazon Inspector scan the images, but the repository's policy keeps it out",
			"set spec.scanning of the RunnerImageCache to AmazonInspector"
	}
	return "", "", ""
}

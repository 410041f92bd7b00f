package ecr

import (
	"maps"
	"regexp"
	"slices"

	"imagecache.dev/test/awsemulator/internal/apierror"
	"imagecache.dev/test/awsemulator/internal/caller"
	"imagecache.dev/test/awsemulator/internal/page"
)

// recordPull notes the time of a pull, unless its principal is excluded. ECR writes it at least once in 24 hours; here it is
// there at once. Callers hold the write lock.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ImageDetail.html (lastRecordedPullTime)
func (r *Registry) recordPull(c *caller.Caller, img *image) {
	if c.Session != nil {
		if _, excluded := r.exclusions[c.Session.RoleARN]; excluded {
			return
		}
	}
	img.pulled = c.Now
}

var rolePattern = regexp.MustCompile(`^arn:aws(-[a-z]+)*:iam::[0-9]{12}:(role|user)/[\w+=,.@/-]+$`)

type pullExclusionIn struct {
	PrincipalARN string `json:"principalArn"`
}

type pullExclusionOut struct {
	PrincipalARN string `json:"principalArn"`
	CreatedAt    *epoch `json:"createdAt,omitempty"`
}

func (r *Registry) exclusion(c *caller.Caller, action, arn string) error {
	if len(arn) > 200 || !rolePattern.MatchString(arn) {
		return apierror.New("ValidationException", "Invalid parameter at 'principalArn' failed to satisfy constraint: 'must be the ARN of an IAM principal'")
	}
	return c.Authorize(caller.Access{Action: "ecr:" + action, Resource: "*"})
}

// registerPullTimeUpdateExclusion: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_RegisterPullTimeUpdateExclusion.html
func (r *Registry) registerPullTimeUpdateExclusion(c *caller.Caller, in *pullExclusionIn) (*pullExclusionOut, error) {
	if err := r.exclusion(c, "RegisterPullTimeUpdateExclusion", in.PrincipalARN); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.exclusions[in.PrincipalARN]; ok {
		return nil, apierror.New("ExclusionAlreadyExistsException", "The pull time update exclusion for '%s' already exists", in.PrincipalARN)
	}
	if len(r.exclusions) >= maxPullTimeExclusions {
		return nil, apierror.New("LimitExceededException", "The registry already has the maximum of %d pull time update exclusions", maxPullTimeExclusions)
	}
	r.exclusions[in.PrincipalARN] = c.Now
	return &pullExclusionOut{in.PrincipalARN, epochOf(c.Now)}, nil
}

func (r *Registry) deregisterPullTimeUpdateExclusion(c *caller.Caller, in *pullExclusionIn) (*pullExclusionOut, error) {
	if err := r.exclusion(c, "DeregisterPullTimeUpdateExclusion", in.PrincipalARN); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.exclusions[in.PrincipalARN]; !ok {
		return nil, apierror.New("ExclusionNotFoundException", "The pull time update exclusion for '%s' does not exist", in.PrincipalARN)
	}
	delete(r.exclusions, in.PrincipalARN)
	return &pullExclusionOut{PrincipalARN: in.PrincipalARN}, nil
}

type listPullExclusionsIn struct {
	MaxResults *int   `json:"maxResults"`
	NextToken  string `json:"nextToken"`
}

type listPullExclusionsOut struct {
	Exclusions []string `json:"pullTimeUpdateExclusions"`
	NextToken  string   `json:"nextToken,omitempty"`
}

func (r *Registry) listPullTimeUpdateExclusions(c *caller.Caller, in *listPullExclusionsIn) (*listPullExclusionsOut, error) {
	if err := c.Authorize(caller.Access{Action: "ecr:ListPullTimeUpdateExclusions", Resource: "*"}); err != nil {
		return nil, err
	}
	size, err := pageSize(in.MaxResults, in.NextToken, false, "")
	if err != nil {
		return nil, err
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := slices.Sorted(maps.Keys(r.exclusions))
	part, next, err := page.Cut(all, func(s string) string { return s }, in.NextToken, size)
	if err != nil {
		return nil, invalid("Invalid parameter at 'nextToken' failed to satisfy constraint: 'must be a token of this operation'")
	}
	return &listPullExclusionsOut{append([]string{}, part...), next}, nil
}

package ecr

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
)

// A lifecycle policy: https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html
type lifecycleText struct {
	Rules []lifecycleRule `json:"rules"`
}

type lifecycleRule struct {
	Priority    int       `json:"rulePriority"`
	Description string    `json:"description"`
	Selection   selection `json:"selection"`
	Action      action    `json:"action"`
}

type selection struct {
	TagStatus    string   `json:"tagStatus"`
	TagPrefixes  []string `json:"tagPrefixList"`
	TagPatterns  []string `json:"tagPatternList"`
	StorageClass string   `json:"storageClass"`
	CountType    string   `json:"countType"`
	CountUnit    string   `json:"countUnit"`
	CountNumber  int      `json:"countNumber"`
}

type action struct {
	Type   string `json:"type"`
	Target string `json:"targetStorageClass"`
}

const (
	countMoreThan   = "imageCountMoreThan"
	sincePushed     = "sinceImagePushed"
	sincePulled     = "sinceImagePulled"
	sinceTransition = "sinceImageTransitioned"
	archiveClass    = "archive"

	minArchiveDays = 90
)

func parseLifecycle(text string) ([]lifecycleRule, error) {
	if len(text) < minLifecycle || len(text) > maxLifecycle {
		return nil, fmt.Errorf("the text must have between %d and %d characters", minLifecycle, maxLifecycle)
	}
	var t lifecycleText
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&t); err != nil {
		return nil, err
	}
	if len(t.Rules) == 0 || len(t.Rules) > maxLifecycleRules {
		return nil, fmt.Errorf("a policy has between 1 and %d rules", maxLifecycleRules)
	}
	sort.SliceStable(t.Rules, func(i, j int) bool { return t.Rules[i].Priority < t.Rules[j].Priority })
	catchAll := map[string]bool{}
	for i, rule := range t.Rules {
		if err := rule.check(); err != nil {
			return nil, fmt.Errorf("rule %d: %w", rule.Priority, err)
		}
		if i > 0 && t.Rules[i-1].Priority == rule.Priority {
			return nil, fmt.Errorf("rulePriority %d is there twice", rule.Priority)
		}
		s := rule.Selection
		if s.TagStatus != "tagged" {
			key := s.TagStatus + "/" + s.StorageClass + "/" + rule.Action.Type
			if catchAll[key] {
				return nil, fmt.Errorf("only one rule may select tagStatus %s for the same storage class and action", s.TagStatus)
			}
			catchAll[key] = true
		}
		if s.TagStatus == "any" {
			for _, later := range t.Rules[i+1:] {
				if later.Selection.StorageClass == s.StorageClass && later.Action.Type == rule.Action.Type {
					return nil, fmt.Errorf("a rule with tagStatus any must have the highest rulePriority, and rule %d has a higher one", later.Priority)
				}
			}
		}
	}
	return t.Rules, nil
}

func (r lifecycleRule) check() error {
	s := r.Selection
	if r.Priority < 1 {
		return errors.New("rulePriority must be at least 1")
	}
	if err := s.check(); err != nil {
		return err
	}
	switch r.Action.Type {
	case "expire":
		if r.Action.Target != "" {
			return errors.New("targetStorageClass is for action transition")
		}
	case "transition":
		if r.Action.Target != archiveClass {
			return errors.New("targetStorageClass must be archive")
		}
		if s.StorageClass == archiveClass {
			return errors.New("images of storage class archive can not be transitioned to it")
		}
	default:
		return fmt.Errorf("action type %q is neither expire nor transition", r.Action.Type)
	}
	if s.CountType == sinceTransition && (r.Action.Type != "expire" || s.StorageClass != archiveClass) {
		return errors.New("countType sinceImageTransitioned is for expiring images of storage class archive")
	}
	if s.CountType == sincePulled && r.Action.Type != "transition" {
		return errors.New("countType sinceImagePulled is for action transition")
	}
	return nil
}

func (s selection) check() error {
	switch s.TagStatus {
	case "tagged":
		if (len(s.TagPrefixes) == 0) == (len(s.TagPatterns) == 0) {
			return errors.New("tagStatus tagged needs either tagPrefixList or tagPatternList")
		}
	case "untagged", "any":
		if len(s.TagPrefixes)+len(s.TagPatterns) > 0 {
			return fmt.Errorf("tagStatus %s takes no tag list", s.TagStatus)
		}
	default:
		return fmt.Errorf("tagStatus %q is none of tagged, untagged, any", s.TagStatus)
	}
	for _, p := range s.TagPatterns {
		if p == "" || strings.Count(p, "*") > 4 {
			return fmt.Errorf("tag pattern %q: between one character and four wildcards", p)
		}
	}
	if !slices.Contains([]string{"", "standard", archiveClass}, s.StorageClass) {
		return fmt.Errorf("storageClass %q is neither standard nor archive", s.StorageClass)
	}
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html#lp_storage_class
	if (s.StorageClass == archiveClass) != (s.CountType == sinceTransition) {
		return errors.New("storageClass archive is for countType sinceImageTransitioned, and that for no other")
	}
	switch s.CountType {
	case countMoreThan:
		if s.CountUnit != "" {
			return errors.New("countType imageCountMoreThan takes no countUnit")
		}
	case sincePushed, sincePulled, sinceTransition:
		if s.CountUnit != "days" {
			return fmt.Errorf("countType %s needs countUnit days", s.CountType)
		}
	default:
		return fmt.Errorf("countType %q is not known", s.CountType)
	}
	if s.CountNumber < 1 {
		return errors.New("countNumber must be at least 1")
	}
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/archive-image.html
	if s.CountType == sinceTransition && s.CountNumber < minArchiveDays {
		return fmt.Errorf("images stay in the archive for %d days at least", minArchiveDays)
	}
	return nil
}

// lifecycleStep is what a rule does to one image.
type lifecycleStep struct {
	image    *image
	action   action
	priority int
}

// planLifecycle tells what rules do now. An image that one rule selects is out of reach of the rules after it, and one that an index
// names stays as long as the index.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html#lp_evaluation_rules
func (p *repository) planLifecycle(rules []lifecycleRule, now time.Time) []lifecycleStep {
	taken := map[*image]bool{}
	parents := maps.Clone(p.parents)
	var steps []lifecycleStep
	for _, rule := range rules {
		for i, img := range p.candidates(rule, taken) {
			// Tagged images that a rule matches are its own even when they are not old enough.
			if rule.Selection.TagStatus == "tagged" {
				taken[img] = true
			}
			if !rule.Selection.due(img, i, now) {
				continue
			}
			taken[img] = true
			if rule.Action.Type == "expire" {
				if parents[img.digest] > 0 {
					continue
				}
				for _, child := range img.children {
					parents[child]--
				}
			}
			steps = append(steps, lifecycleStep{img, rule.Action, rule.Priority})
		}
	}
	return steps
}

// candidates are the images that a rule selects, the newest first: what is beyond a count is the oldest.
func (p *repository) candidates(rule lifecycleRule, taken map[*image]bool) []*image {
	var out []*image
	for _, img := range p.images {
		if !taken[img] && rule.Selection.takes(img) {
			out = append(out, img)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if !out[i].pushed.Equal(out[j].pushed) {
			return out[i].pushed.After(out[j].pushed)
		}
		return out[i].digest < out[j].digest
	})
	return out
}

// applyLifecycle expires and archives what the policy's rules select, and says how many images are gone.
func (p *repository) applyLifecycle(now time.Time) int {
	expired := 0
	for _, step := range p.planLifecycle(p.lifecycle.rules, now) {
		if step.action.Type == "transition" {
			p.archive(step.image, now)
			continue
		}
		p.remove(step.image)
		expired++
	}
	return expired
}

func (s selection) takes(img *image) bool {
	if (s.StorageClass == archiveClass) != !img.archived.IsZero() {
		return false
	}
	switch s.TagStatus {
	case "untagged":
		return len(img.tags) == 0
	case "tagged":
		return s.tagged(img.tags)
	}
	return true
}

// tagged: of several prefixes all must be there, each on one of the image's tags; of several patterns as well.
func (s selection) tagged(tags []string) bool {
	for _, prefix := range s.TagPrefixes {
		if !slices.ContainsFunc(tags, func(t string) bool { return strings.HasPrefix(t, prefix) }) {
			return false
		}
	}
	for _, pattern := range s.TagPatterns {
		if !slices.ContainsFunc(tags, func(t string) bool { return glob(pattern, t) }) {
			return false
		}
	}
	return len(tags) > 0
}

func (s selection) due(img *image, position int, now time.Time) bool {
	// Compared in days: a policy may name more of them than a duration holds.
	old := func(since time.Time) bool { return int(now.Sub(since)/day) >= s.CountNumber }
	switch s.CountType {
	case countMoreThan:
		return position >= s.CountNumber
	case sincePushed:
		return old(img.pushed)
	case sincePulled:
		last := img.pulled
		if last.IsZero() {
			last = img.pushed
		}
		return old(last)
	case sinceTransition:
		return old(img.archived)
	}
	return false
}

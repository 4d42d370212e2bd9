package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
)

func explainCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "explain", Usage: "[ID] [--config FILE] [--policy NAME --identity FILE | --batch FILE] [--json]",
		Short: "Says what a policy decides and why: every requirement, every fact and its source",
		Long: `
Three ways to ask:

  gatehouse explain ID
      accounts for a decision that the running gateway made; ID is the incident
      id of the page, the decision_id of the log, or from decisions.

  gatehouse explain --policy NAME --user NAME --device entra:GUID
      asks the running gateway what it would decide now.

  gatehouse explain --config Caddyfile --policy NAME --identity who.json
      decides offline, from the configuration and the files that it names. A
      gateway that runs meanwhile is not disturbed. Sources behind a network,
      and revocations, are not known offline.

who.json holds who asks and from what, for example
  {"user": {"name": "alice", "groups": ["finance"]},
   "device": {"keys": {"entra": "GUID"}, "proof": "certificate"}}
Flags replace what the file says. --batch takes a JSON array of such questions,
each with its policy, and prints a JSON array of answers.

Exit status: 0 allow, 3 any other outcome, 1 error. With --batch: 0, or 1 if a
question could not be answered.
`,
		CobraFunc: func(cmd *cobra.Command) {
			f := cmd.Flags()
			f.String("address", "", "Admin endpoint of the running gateway (default localhost:2019)")
			configFlags(cmd, "Configuration file: decide offline")
			f.String("policy", "", "Policy to ask")
			f.String("identity", "", "JSON file with user, device and request; - reads standard input")
			f.String("batch", "", "JSON file with an array of questions; - reads standard input")
			f.String("user", "", "The user's sign-in name")
			f.StringSlice("device", nil, "Device id, kind:value or a bare Entra id; may be repeated")
			f.String("proof", "", "How the device is proven: "+proofNames()+" (default token)")
			jsonFlag(cmd)
			cmd.Args = cobra.MaximumNArgs(1)
			cmd.RunE = exitWith(runExplain)
		},
	}
}

func proofNames() string {
	return strings.Join([]string{
		decision.ProofAttested.String(), decision.ProofToken.String(), decision.ProofBoundToken.String(),
		decision.ProofForwardedCertificate.String(), decision.ProofCertificate.String(),
	}, ", ")
}

// answerer answers one question, offline or from a running gateway.
type answerer func(*ExplainRequest) (*policy.Explanation, error)

func runExplain(cmd *cobra.Command, args []string) (int, error) {
	if len(args) == 1 {
		return explainDecision(cmd, args[0])
	}
	batch := flagValue(cmd, "batch")
	var questions []ExplainRequest
	if batch != "" {
		if flagValue(cmd, "identity") != "" {
			return exitFailure, errors.New("give --identity or --batch, not both")
		}
		err := readQuestion(batch, &questions)
		if err != nil {
			return exitFailure, err
		}
	} else {
		questions = make([]ExplainRequest, 1)
		if file := flagValue(cmd, "identity"); file != "" {
			err := readQuestion(file, &questions[0])
			if err != nil {
				return exitFailure, err
			}
		}
	}
	for i := range questions {
		err := override(cmd, &questions[i])
		if err != nil {
			return exitFailure, err
		}
	}
	if batch == "" && questions[0].Policy == "" {
		return exitFailure, errors.New("which policy? --policy NAME; or give the id of a decision")
	}
	answer, done, err := newAnswerer(cmd)
	if err != nil {
		return exitFailure, err
	}
	defer done()
	if batch != "" {
		return explainBatch(cmd, questions, answer)
	}
	x, err := answer(&questions[0])
	if err != nil {
		return exitFailure, err
	}
	if flagSet(cmd, "json") {
		err = printJSON(cmd.OutOrStdout(), x)
	} else {
		_, err = io.WriteString(cmd.OutOrStdout(), x.String())
	}
	return explainStatus(x.Outcome), err
}

func explainStatus(outcome string) int {
	if outcome == decision.Allow.String() {
		return exitOK
	}
	return exitNotPass
}

// explainBatch answers every question. One that cannot be answered has an error
// in its place, so that answers keep their index.
func explainBatch(cmd *cobra.Command, questions []ExplainRequest, answer answerer) (int, error) {
	status := exitOK
	answers := make([]any, 0, len(questions))
	for i := range questions {
		x, err := answer(&questions[i])
		if err != nil {
			status = exitFailure
			answers = append(answers, map[string]string{"error": err.Error()})
			continue
		}
		answers = append(answers, x)
	}
	return status, printJSON(cmd.OutOrStdout(), answers)
}

// explainDecision accounts for a decision that was made.
func explainDecision(cmd *cobra.Command, id string) (int, error) {
	for _, flag := range []string{"policy", "identity", "batch", "user", "proof"} {
		if flagValue(cmd, flag) != "" {
			return exitFailure, fmt.Errorf("--%s does not go with the id of a decision", flag)
		}
	}
	raw, err := callAdmin(cmd, http.MethodGet, "decisions/"+url.PathEscape(id), nil, "")
	if err != nil {
		return exitFailure, err
	}
	var v DecisionView
	err = json.Unmarshal(raw, &v)
	if err != nil {
		return exitFailure, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	w := cmd.OutOrStdout()
	if flagSet(cmd, "json") {
		_, err = w.Write(raw)
		return explainStatus(v.Outcome), err
	}
	fmt.Fprintf(w, "decision %s at %s: %s (%s)\n", policy.Visible(v.ID), v.Time.UTC().Format(time.RFC3339), v.Outcome, v.Mode)
	columns(w,
		[]string{"  request", v.Method + " " + v.Host + v.Path, "from " + v.ClientIP},
		[]string{"  user", v.User}, []string{"  device", v.Device})
	if v.Explanation != nil {
		_, err = io.WriteString(w, "\n"+v.Explanation.String())
		return explainStatus(v.Outcome), err
	}
	// The request itself or its credential was at fault: no policy was asked.
	for _, r := range v.Reasons {
		fmt.Fprintf(w, "  reason   %s  %s\n", r.Code, policy.Visible(r.Param))
	}
	return explainStatus(v.Outcome), nil
}

// maxQuestions bounds an identity or batch file.
const maxQuestions = 64 << 20

func readQuestion(path string, to any) error {
	raw, err := readBounded(path, maxQuestions)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	err = dec.Decode(to)
	if err == nil && dec.More() {
		err = errors.New("more than one JSON value")
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// override puts what the flags say over a question.
func override(cmd *cobra.Command, in *ExplainRequest) error {
	if v := flagValue(cmd, "policy"); v != "" {
		in.Policy = v
	}
	if v := flagValue(cmd, "user"); v != "" {
		if in.User == nil {
			in.User = &ExplainUser{}
		}
		in.User.Name = v
	}
	devices, err := cmd.Flags().GetStringSlice("device")
	if err != nil {
		return err
	}
	if len(devices) > 0 {
		proof := ""
		if in.Device != nil {
			proof = in.Device.Proof
		}
		in.Device = &ExplainDevice{Keys: map[string]string{}, Proof: proof}
		for _, s := range devices {
			key, err := parseKey(s)
			if err != nil {
				return err
			}
			in.Device.Keys[key.Kind] = key.Value
		}
	}
	if v := flagValue(cmd, "proof"); v != "" {
		if in.Device == nil {
			return errors.New("--proof without a device: add --device KIND:VALUE")
		}
		in.Device.Proof = v
	}
	return nil
}

// newAnswerer picks who answers: the configuration if one is named, else the
// running gateway. done must be called at the end.
func newAnswerer(cmd *cobra.Command) (answer answerer, done func(), err error) {
	file := flagValue(cmd, "config")
	if file != "" && flagValue(cmd, "address") == "" {
		o, err := openOffline(file, flagValue(cmd, "adapter"), cmd.ErrOrStderr())
		if err != nil {
			return nil, nil, err
		}
		return o.explain, o.close, nil
	}
	online := func(in *ExplainRequest) (*policy.Explanation, error) {
		raw, err := callAdmin(cmd, http.MethodPost, "explain", in, "")
		if err != nil {
			return nil, err
		}
		x := &policy.Explanation{}
		return x, json.Unmarshal(raw, x)
	}
	return online, func() {}, nil
}

// Lets a member join an etcd cluster, with Temporal's Go SDK.
//
//	join CLUSTER NAME PEER_URL
//
// It prints the handover as soon as the learner is added, and the outcome at the end. Run it again at any time: it
// attaches to the join that runs. TEMPORAL_ADDRESS and the SDK's other variables say where Temporal is.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

//go:generate sh -c "memberflow schema join >join.schema.json"
//go:generate go run github.com/atombender/go-jsonschema@v0.24.1 --package main --struct-name-from-title --output request.go join.schema.json

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: join CLUSTER NAME PEER_URL")
	}
	request := JoinRequest{Cluster: os.Args[1], Name: os.Args[2], PeerUrls: os.Args[3:], RequestedBy: "a Go program"}
	if err := join(context.Background(), request); err != nil {
		log.Fatal(err)
	}
}

func join(ctx context.Context, request JoinRequest) error {
	temporalClient, err := client.Dial(envconfig.MustLoadDefaultClientOptions())
	if err != nil {
		return err
	}
	defer temporalClient.Close()

	id := fmt.Sprintf("memberflow:%s:join:%s", request.Cluster, request.Name)
	if err := start(ctx, temporalClient, id, request); err != nil {
		return err
	}
	if values := handover(ctx, temporalClient, id); values != nil {
		show(values)
	}
	outcome := map[string]any{}
	err = temporalClient.GetWorkflow(ctx, id, "").Get(ctx, &outcome)
	var failure *temporal.ApplicationError
	if errors.As(err, &failure) && failure.HasDetails() {
		// A change that did not go through has its outcome as its failure's details.
		if unreadable := failure.Details(&outcome); unreadable != nil {
			return unreadable
		}
	}
	show(outcome)
	return err
}

// start starts the join. One that runs already must be for the same request: Temporal does not compare them.
func start(ctx context.Context, temporalClient client.Client, id string, request JoinRequest) error {
	_, err := temporalClient.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       id,
		TaskQueue:                                "memberflow",
		WorkflowIDConflictPolicy:                 enums.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		Memo:                                     map[string]any{"request": request},
	}, "JoinMember", request)
	var started *serviceerror.WorkflowExecutionAlreadyStarted
	if !errors.As(err, &started) {
		return err
	}
	description, err := temporalClient.DescribeWorkflowExecution(ctx, id, "")
	if err != nil {
		return err
	}
	running := JoinRequest{}
	memo := description.GetWorkflowExecutionInfo().GetMemo().GetFields()["request"]
	if err := converter.GetDefaultDataConverter().FromPayload(memo, &running); err != nil {
		return fmt.Errorf("%s runs, and its request cannot be read: %w", id, err)
	}
	if !slices.Equal(running.PeerUrls, request.PeerUrls) || running.HoldBefore != nil || running.Launcher != nil {
		return fmt.Errorf("%s runs with a different request: %+v", id, running)
	}
	return nil
}

// handover waits until the learner is added. It is nil when the change ended without one.
func handover(ctx context.Context, temporalClient client.Client, id string) map[string]any {
	for {
		// Without a run ID: a reset of the change does not end the wait.
		update, err := temporalClient.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			WorkflowID:   id,
			UpdateName:   "wait_until_added",
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		values := map[string]any{}
		if err == nil {
			err = update.Get(ctx, &values)
		}
		var refused *temporal.ApplicationError
		if errors.As(err, &refused) && refused.Type() == "AskAgain" {
			// The change goes on in a new run, which has to be asked again.
			time.Sleep(time.Second)
			continue
		}
		if err != nil {
			return nil
		}
		return values
	}
}

func show(value any) {
	if err := json.NewEncoder(os.Stdout).Encode(value); err != nil {
		log.Fatal(err)
	}
}

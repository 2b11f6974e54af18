/* The choices that configuration, model and data share by name (DESIGN 1, 2): values of CHOICE keys, in the order of
 * their names in config/keys.def; and what model and data must agree on. */
#ifndef RAM_BASE_TERMS_H
#define RAM_BASE_TERMS_H

typedef enum { DEVICE_AUTO, DEVICE_CPU, DEVICE_CUDA, DEVICE_CPU_CHECK } DeviceChoice;
typedef enum { PRECISION_FP32, PRECISION_TF32, PRECISION_BF16 } Precision;
typedef enum { COMM_AUTO, COMM_SELF, COMM_MPI, COMM_NCCL } CommChoice;
typedef enum { REDUCTION_AUTO, REDUCTION_TREE, REDUCTION_FAST } ReductionChoice;
typedef enum { TASK_MNIST, TASK_TRANSLATED, TASK_CLUTTERED } TaskKind;
typedef enum { CORE_RNN, CORE_LSTM } Core;
typedef enum { LOCATOR_MLP, LOCATOR_LINEAR } Locator;
typedef enum { BASELINE_LEARNED, BASELINE_MOVING_AVERAGE, BASELINE_OTHERS, BASELINE_NONE } Baseline;
typedef enum { REWARD_CORRECT, REWARD_LOG_LIKELIHOOD } Reward;
typedef enum { CREDIT_FINAL, CREDIT_GAIN } Credit;
typedef enum { OPTIMIZER_ADAM, OPTIMIZER_SGD } OptimizerKind;
typedef enum { SCHEDULE_CONSTANT, SCHEDULE_PLATEAU, SCHEDULE_COSINE, SCHEDULE_LINEAR } ScheduleKind;
typedef enum { ON_NAN_STOP, ON_NAN_ROLLBACK } OnNan;
typedef enum { POLICY_SAMPLE, POLICY_MEAN, POLICY_RANDOM, POLICY_CENTER } Policy;

enum { CHANNELS_MOST = 4 /* of images: colour and transparency */ };

#endif

-- The tables of longtasks, for an empty database on MariaDB 10.7 or newer.
-- Written by `manage.py write_sql` from the migrations listed at its end. Do not edit.
--
--   mariadb --database NAME < catalog/sql/init.sql
--   manage.py migrate --fake-initial    finds no migration to apply, and writes the content types and permissions

SET NAMES utf8mb4;

-- `manage.py migrate` does the same. Omit this statement if the database is utf8mb4 with your own choice of collation.
ALTER DATABASE CHARACTER SET utf8mb4;

CREATE TABLE `django_migrations` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `app` varchar(255) NOT NULL,
    `name` varchar(255) NOT NULL,
    `applied` datetime(6) NOT NULL
);

CREATE TABLE `archived_order_items` (
    `id` bigint NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL,
    `position` integer UNSIGNED NOT NULL CHECK (`position` >= 0),
    `user_id` bigint NOT NULL,
    `product_id` bigint NOT NULL,
    `quantity` smallint UNSIGNED NOT NULL CHECK (`quantity` >= 0),
    `unit_price` numeric(10, 2) NOT NULL,
    `total` numeric(12, 2) NOT NULL,
    `ordered_at` datetime(6) NOT NULL,
    `archived_at` datetime(6) NOT NULL
);

CREATE TABLE `auth_group` (
    `id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `name` varchar(150) NOT NULL UNIQUE
);

CREATE TABLE `auth_group_permissions` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `group_id` integer NOT NULL,
    `permission_id` integer NOT NULL
);

CREATE TABLE `auth_permission` (
    `id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `name` varchar(255) NOT NULL,
    `content_type_id` integer NOT NULL,
    `codename` varchar(100) NOT NULL
);

CREATE TABLE `auth_user` (
    `id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `password` varchar(128) NOT NULL,
    `last_login` datetime(6) NULL,
    `is_superuser` bool NOT NULL,
    `username` varchar(150) NOT NULL UNIQUE,
    `first_name` varchar(150) NOT NULL,
    `last_name` varchar(150) NOT NULL,
    `email` varchar(254) NOT NULL,
    `is_staff` bool NOT NULL,
    `is_active` bool NOT NULL,
    `date_joined` datetime(6) NOT NULL
);

CREATE TABLE `auth_user_groups` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `user_id` integer NOT NULL,
    `group_id` integer NOT NULL
);

CREATE TABLE `auth_user_user_permissions` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `user_id` integer NOT NULL,
    `permission_id` integer NOT NULL
);

CREATE TABLE `catalog_idblock` (
    `name` varchar(40) COLLATE `utf8mb4_nopad_bin` NOT NULL PRIMARY KEY,
    `next_id` bigint NOT NULL
);

CREATE TABLE `django_admin_log` (
    `id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `action_time` datetime(6) NOT NULL,
    `object_id` longtext NULL,
    `object_repr` varchar(200) NOT NULL,
    `action_flag` smallint UNSIGNED NOT NULL CHECK (`action_flag` >= 0),
    `change_message` longtext NOT NULL,
    `content_type_id` integer NULL,
    `user_id` integer NOT NULL
);

CREATE TABLE `django_content_type` (
    `id` integer AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `app_label` varchar(100) NOT NULL,
    `model` varchar(100) NOT NULL
);

CREATE TABLE `django_session` (
    `session_key` varchar(40) NOT NULL PRIMARY KEY,
    `session_data` longtext NOT NULL,
    `expire_date` datetime(6) NOT NULL
);

CREATE TABLE `order_items` (
    `id` bigint NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL,
    `position` integer UNSIGNED NOT NULL CHECK (`position` >= 0),
    `quantity` smallint UNSIGNED NOT NULL CHECK (`quantity` >= 0),
    `unit_price` numeric(10, 2) NOT NULL,
    `total` numeric(12, 2) NOT NULL,
    `ordered_at` datetime(6) NOT NULL,
    `product_id` bigint NOT NULL,
    `user_id` bigint NOT NULL
);

CREATE TABLE `products` (
    `id` bigint NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL,
    `position` integer UNSIGNED NOT NULL CHECK (`position` >= 0),
    `sku` varchar(40) NOT NULL,
    `name` varchar(120) NOT NULL,
    `category` varchar(40) NOT NULL,
    `price` numeric(10, 2) NOT NULL,
    `stock` integer UNSIGNED NOT NULL CHECK (`stock` >= 0),
    `created_at` datetime(6) NOT NULL
);

CREATE TABLE `tasks_app_apitoken` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `owner` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `scope` varchar(8) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `note` varchar(255) NOT NULL,
    `digest` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL UNIQUE,
    `prefix` varchar(12) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `created_at` datetime(6) NOT NULL,
    `created_by` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `expires_at` datetime(6) NULL,
    `revoked_at` datetime(6) NULL,
    `last_used_at` datetime(6) NULL
);

CREATE TABLE `tasks_app_auditentry` (
    `id` uuid NOT NULL PRIMARY KEY,
    `at` datetime(6) NOT NULL,
    `source` varchar(8) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `actor` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `action` varchar(12) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `task_id` uuid NULL,
    `queue` varchar(32) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `detail` varchar(255) NOT NULL
);

CREATE TABLE `tasks_app_migrationtask` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL UNIQUE,
    `app_label` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `name` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `params_digest` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `params` json NOT NULL,
    `created_at` datetime(6) NOT NULL,
    `enqueued_at` datetime(6) NULL,
    `finished_at` datetime(6) NULL
);

CREATE TABLE `tasks_app_mirrorcursor` (
    `name` varchar(32) COLLATE `utf8mb4_nopad_bin` NOT NULL PRIMARY KEY,
    `stream_id` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `updated_at` datetime(6) NOT NULL
);

CREATE TABLE `tasks_app_outboxtask` (
    `id` uuid NOT NULL PRIMARY KEY,
    `snapshot` longblob NOT NULL
);

CREATE TABLE `tasks_app_queuestate` (
    `name` varchar(32) COLLATE `utf8mb4_nopad_bin` NOT NULL PRIMARY KEY,
    `paused_at` datetime(6) NULL,
    `paused_by` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `reason` varchar(255) NOT NULL
);

CREATE TABLE `tasks_app_setasideitem` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `kind` varchar(12) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `key` varchar(200) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `payload` longblob NOT NULL,
    `size` bigint UNSIGNED NOT NULL CHECK (`size` >= 0),
    `reason` varchar(500) NOT NULL,
    `first_at` datetime(6) NOT NULL,
    `last_at` datetime(6) NOT NULL,
    `tries` integer UNSIGNED NOT NULL CHECK (`tries` >= 0),
    CONSTRAINT `set_aside_kind_key` UNIQUE (`kind`, `key`)
);

CREATE TABLE `tasks_app_taskcheckpoint` (
    `task_id` uuid NOT NULL PRIMARY KEY,
    `epoch` integer UNSIGNED NOT NULL CHECK (`epoch` >= 0),
    `done` bigint UNSIGNED NOT NULL CHECK (`done` >= 0),
    `counts` json NOT NULL,
    `state` json NOT NULL,
    `worker` varchar(120) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `lease_until` datetime(6) NULL,
    `failures` integer UNSIGNED NOT NULL CHECK (`failures` >= 0),
    `claimed_done` bigint UNSIGNED NOT NULL CHECK (`claimed_done` >= 0),
    `cancel_requested` bool NOT NULL,
    `outcome` varchar(10) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `error` longtext NOT NULL,
    `started_at` datetime(6) NULL,
    `ended_at` datetime(6) NULL,
    `updated_at` datetime(6) NOT NULL,
    `first` bigint UNSIGNED NOT NULL CHECK (`first` >= 0),
    `parent_id` uuid NULL,
    `shards` integer UNSIGNED NOT NULL CHECK (`shards` >= 0),
    `size` bigint UNSIGNED NOT NULL CHECK (`size` >= 0),
    `total` bigint UNSIGNED NULL CHECK (`total` >= 0),
    `total_is_estimate` bool DEFAULT b'0' NOT NULL,
    `open_shards` integer UNSIGNED NULL CHECK (`open_shards` >= 0),
    `failed_records` bigint UNSIGNED DEFAULT 0 NOT NULL CHECK (`failed_records` >= 0),
    `max_attempts` integer UNSIGNED NULL CHECK (`max_attempts` >= 0),
    `result` json NULL,
    `failures_retry` json NULL
);

CREATE TABLE `tasks_app_taskevent` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL,
    `status` varchar(12) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `cause` varchar(24) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `at` datetime(6) NOT NULL,
    `worker` varchar(120) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `actor` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `attempt` integer UNSIGNED NOT NULL CHECK (`attempt` >= 0),
    `done` bigint UNSIGNED NOT NULL CHECK (`done` >= 0),
    `error` longtext NULL
);

CREATE TABLE `tasks_app_taskfailure` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL,
    `checkpoint_id` uuid NOT NULL,
    `position` bigint UNSIGNED NOT NULL CHECK (`position` >= 0),
    `line` bigint UNSIGNED NULL CHECK (`line` >= 0),
    `key` varchar(255) NOT NULL,
    `code` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `message` longtext NOT NULL,
    `values_json` longtext NOT NULL,
    `values_are_exact` bool NOT NULL,
    `failed_at` datetime(6) NOT NULL,
    CONSTRAINT `failure_once` UNIQUE (`checkpoint_id`, `position`)
);

CREATE TABLE `tasks_app_taskfile` (
    `id` uuid NOT NULL PRIMARY KEY,
    `kind` varchar(10) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `owner` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `name` varchar(255) NOT NULL,
    `content_type` varchar(100) NOT NULL,
    `size` bigint UNSIGNED NOT NULL CHECK (`size` >= 0),
    `sha256` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `storage_key` varchar(200) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `is_complete` bool NOT NULL,
    `created_at` datetime(6) NOT NULL,
    `expires_at` datetime(6) NULL,
    `task_id` uuid NULL,
    `position` bigint UNSIGNED NOT NULL CHECK (`position` >= 0)
);

CREATE TABLE `tasks_app_taskfileuse` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `file_id` uuid NOT NULL,
    `task_id` uuid NOT NULL,
    CONSTRAINT `file_use_once` UNIQUE (`file_id`, `task_id`)
);

CREATE TABLE `tasks_app_taskminute` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `minute` datetime(6) NOT NULL,
    `queue` varchar(32) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `name` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `accepted` integer UNSIGNED NOT NULL CHECK (`accepted` >= 0),
    `started` integer UNSIGNED NOT NULL CHECK (`started` >= 0),
    `finished` integer UNSIGNED NOT NULL CHECK (`finished` >= 0),
    `failed` integer UNSIGNED NOT NULL CHECK (`failed` >= 0),
    `canceled` integer UNSIGNED NOT NULL CHECK (`canceled` >= 0),
    `stopped` integer UNSIGNED NOT NULL CHECK (`stopped` >= 0),
    `rows` bigint UNSIGNED NOT NULL CHECK (`rows` >= 0),
    `waits` json NOT NULL,
    `runs` json NOT NULL,
    CONSTRAINT `minute_queue_name` UNIQUE (`minute`, `queue`, `name`)
);

CREATE TABLE `tasks_app_taskrecord` (
    `id` uuid NOT NULL PRIMARY KEY,
    `name` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `description` varchar(255) NOT NULL,
    `params` json NOT NULL,
    `owner` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `request_id` varchar(64) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `callback_url` varchar(500) NOT NULL,
    `created_at` datetime(6) NOT NULL,
    `priority` varchar(32) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `status` varchar(12) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `done` bigint UNSIGNED NOT NULL CHECK (`done` >= 0),
    `total` bigint UNSIGNED NULL CHECK (`total` >= 0),
    `counts` json NOT NULL,
    `attempts` integer UNSIGNED NOT NULL CHECK (`attempts` >= 0),
    `error` longtext NULL,
    `worker` varchar(120) COLLATE `utf8mb4_nopad_bin` NOT NULL,
    `epoch` integer UNSIGNED NOT NULL CHECK (`epoch` >= 0),
    `started_at` datetime(6) NULL,
    `ended_at` datetime(6) NULL,
    `next_attempt_at` datetime(6) NULL,
    `cancel_requested` bool NOT NULL,
    `updated_at` datetime(6) NOT NULL,
    `urgency` smallint UNSIGNED NULL CHECK (`urgency` >= 0),
    `total_is_estimate` bool DEFAULT b'0' NOT NULL,
    `failed_records` bigint UNSIGNED DEFAULT 0 NOT NULL CHECK (`failed_records` >= 0),
    `max_failures` varchar(16) COLLATE `utf8mb4_nopad_bin` DEFAULT '' NOT NULL,
    `dry_run` bool DEFAULT b'0' NOT NULL,
    `start_at` datetime(6) NULL
);

CREATE TABLE `tasks_app_taskrowchange` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL,
    `checkpoint_id` uuid NOT NULL,
    `position` bigint UNSIGNED NOT NULL CHECK (`position` >= 0),
    `line` bigint UNSIGNED NULL CHECK (`line` >= 0),
    `model` varchar(150) NOT NULL,
    `key` varchar(255) NOT NULL,
    `before_json` longtext NULL,
    `after_json` longtext NULL,
    `values_are_exact` bool NOT NULL
);

CREATE TABLE `tasks_app_webhookdelivery` (
    `id` bigint AUTO_INCREMENT NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL,
    `url` varchar(500) NOT NULL,
    `snapshot` longtext NOT NULL,
    `attempts` integer UNSIGNED NOT NULL CHECK (`attempts` >= 0),
    `due_at` datetime(6) NOT NULL
);

CREATE TABLE `users` (
    `id` bigint NOT NULL PRIMARY KEY,
    `task_id` uuid NOT NULL,
    `position` integer UNSIGNED NOT NULL CHECK (`position` >= 0),
    `first_name` varchar(60) NOT NULL,
    `last_name` varchar(60) NOT NULL,
    `email` varchar(160) NOT NULL,
    `phone` varchar(32) NOT NULL,
    `city` varchar(80) NOT NULL,
    `birth_date` date NOT NULL,
    `created_at` datetime(6) NOT NULL
);

CREATE INDEX `archived_task_position` ON `archived_order_items` (`task_id`, `position`);
ALTER TABLE `auth_group_permissions` ADD CONSTRAINT `auth_group_permissions_group_id_permission_id_0cd325b0_uniq` UNIQUE (`group_id`, `permission_id`);
ALTER TABLE `auth_group_permissions` ADD CONSTRAINT `auth_group_permissions_group_id_b120cbf9_fk_auth_group_id` FOREIGN KEY (`group_id`) REFERENCES `auth_group` (`id`);
ALTER TABLE `auth_group_permissions` ADD CONSTRAINT `auth_group_permissio_permission_id_84c5c92e_fk_auth_perm` FOREIGN KEY (`permission_id`) REFERENCES `auth_permission` (`id`);
ALTER TABLE `auth_permission` ADD CONSTRAINT `auth_permission_content_type_id_codename_01ab375a_uniq` UNIQUE (`content_type_id`, `codename`);
ALTER TABLE `auth_permission` ADD CONSTRAINT `auth_permission_content_type_id_2f476e4b_fk_django_co` FOREIGN KEY (`content_type_id`) REFERENCES `django_content_type` (`id`);
ALTER TABLE `auth_user_groups` ADD CONSTRAINT `auth_user_groups_user_id_group_id_94350c0c_uniq` UNIQUE (`user_id`, `group_id`);
ALTER TABLE `auth_user_groups` ADD CONSTRAINT `auth_user_groups_user_id_6a12ed8b_fk_auth_user_id` FOREIGN KEY (`user_id`) REFERENCES `auth_user` (`id`);
ALTER TABLE `auth_user_groups` ADD CONSTRAINT `auth_user_groups_group_id_97559544_fk_auth_group_id` FOREIGN KEY (`group_id`) REFERENCES `auth_group` (`id`);
ALTER TABLE `auth_user_user_permissions` ADD CONSTRAINT `auth_user_user_permissions_user_id_permission_id_14a6b632_uniq` UNIQUE (`user_id`, `permission_id`);
ALTER TABLE `auth_user_user_permissions` ADD CONSTRAINT `auth_user_user_permissions_user_id_a95ead1b_fk_auth_user_id` FOREIGN KEY (`user_id`) REFERENCES `auth_user` (`id`);
ALTER TABLE `auth_user_user_permissions` ADD CONSTRAINT `auth_user_user_permi_permission_id_1fbb5f2c_fk_auth_perm` FOREIGN KEY (`permission_id`) REFERENCES `auth_permission` (`id`);
ALTER TABLE `django_admin_log` ADD CONSTRAINT `django_admin_log_content_type_id_c4bce8eb_fk_django_co` FOREIGN KEY (`content_type_id`) REFERENCES `django_content_type` (`id`);
ALTER TABLE `django_admin_log` ADD CONSTRAINT `django_admin_log_user_id_c564eba6_fk_auth_user_id` FOREIGN KEY (`user_id`) REFERENCES `auth_user` (`id`);
ALTER TABLE `django_content_type` ADD CONSTRAINT `django_content_type_app_label_model_76bd3d3b_uniq` UNIQUE (`app_label`, `model`);
CREATE INDEX `django_session_expire_date_a5c62663` ON `django_session` (`expire_date`);
ALTER TABLE `order_items` ADD CONSTRAINT `order_items_product_id_dd557d5a_fk_products_id` FOREIGN KEY (`product_id`) REFERENCES `products` (`id`);
ALTER TABLE `order_items` ADD CONSTRAINT `order_items_user_id_89178a11_fk_users_id` FOREIGN KEY (`user_id`) REFERENCES `users` (`id`);
CREATE INDEX `order_items_task_position` ON `order_items` (`task_id`, `position`);
CREATE INDEX `products_task_position` ON `products` (`task_id`, `position`);
CREATE INDEX `audit_actor` ON `tasks_app_auditentry` (`actor`, `id`);
CREATE INDEX `audit_action` ON `tasks_app_auditentry` (`action`, `id`);
CREATE INDEX `audit_task` ON `tasks_app_auditentry` (`task_id`, `action`);
CREATE INDEX `migration_task_by_name` ON `tasks_app_migrationtask` (`name`, `id`);
CREATE INDEX `checkpoint_outcome_lease` ON `tasks_app_taskcheckpoint` (`outcome`, `lease_until`);
CREATE INDEX `checkpoint_updated` ON `tasks_app_taskcheckpoint` (`updated_at`);
CREATE INDEX `checkpoint_parent` ON `tasks_app_taskcheckpoint` (`parent_id`);
CREATE INDEX `event_task` ON `tasks_app_taskevent` (`task_id`, `id`);
CREATE INDEX `failure_of_task` ON `tasks_app_taskfailure` (`task_id`, `position`, `id`);
CREATE INDEX `file_expires` ON `tasks_app_taskfile` (`expires_at`, `id`);
CREATE INDEX `file_task` ON `tasks_app_taskfile` (`task_id`, `kind`, `position`);
CREATE INDEX `file_use_task` ON `tasks_app_taskfileuse` (`task_id`);
CREATE INDEX `record_by_owner` ON `tasks_app_taskrecord` (`owner`, `id`, `status`, `name`, `priority`);
CREATE INDEX `record_by_status` ON `tasks_app_taskrecord` (`status`, `id`, `owner`, `name`, `priority`);
CREATE INDEX `record_by_name` ON `tasks_app_taskrecord` (`name`, `id`, `owner`, `priority`);
CREATE INDEX `record_by_priority` ON `tasks_app_taskrecord` (`priority`, `id`, `owner`, `name`);
CREATE INDEX `row_change_of_task` ON `tasks_app_taskrowchange` (`task_id`, `position`, `id`);
CREATE INDEX `webhook_due` ON `tasks_app_webhookdelivery` (`due_at`);
CREATE INDEX `users_task_position` ON `users` (`task_id`, `position`);

INSERT INTO `django_migrations` (`app`, `name`, `applied`) VALUES
    ('contenttypes', '0001_initial', UTC_TIMESTAMP(6)),
    ('auth', '0001_initial', UTC_TIMESTAMP(6)),
    ('admin', '0001_initial', UTC_TIMESTAMP(6)),
    ('admin', '0002_logentry_remove_auto_add', UTC_TIMESTAMP(6)),
    ('admin', '0003_logentry_add_action_flag_choices', UTC_TIMESTAMP(6)),
    ('contenttypes', '0002_remove_content_type_name', UTC_TIMESTAMP(6)),
    ('auth', '0002_alter_permission_name_max_length', UTC_TIMESTAMP(6)),
    ('auth', '0003_alter_user_email_max_length', UTC_TIMESTAMP(6)),
    ('auth', '0004_alter_user_username_opts', UTC_TIMESTAMP(6)),
    ('auth', '0005_alter_user_last_login_null', UTC_TIMESTAMP(6)),
    ('auth', '0006_require_contenttypes_0002', UTC_TIMESTAMP(6)),
    ('auth', '0007_alter_validators_add_error_messages', UTC_TIMESTAMP(6)),
    ('auth', '0008_alter_user_username_max_length', UTC_TIMESTAMP(6)),
    ('auth', '0009_alter_user_last_name_max_length', UTC_TIMESTAMP(6)),
    ('auth', '0010_alter_group_name_max_length', UTC_TIMESTAMP(6)),
    ('auth', '0011_update_proxy_permissions', UTC_TIMESTAMP(6)),
    ('auth', '0012_alter_user_first_name_max_length', UTC_TIMESTAMP(6)),
    ('catalog', '0001_initial', UTC_TIMESTAMP(6)),
    ('catalog', '0002_identity_columns', UTC_TIMESTAMP(6)),
    ('catalog', '0003_archived_order_items', UTC_TIMESTAMP(6)),
    ('django_rq', '0001_initial', UTC_TIMESTAMP(6)),
    ('django_rq', '0002_delete_queue_create_dashboard', UTC_TIMESTAMP(6)),
    ('django_rq', '0003_alter_dashboard_permission_names', UTC_TIMESTAMP(6)),
    ('sessions', '0001_initial', UTC_TIMESTAMP(6)),
    ('tasks_app', '0001_initial', UTC_TIMESTAMP(6)),
    ('tasks_app', '0002_audit_and_minutes', UTC_TIMESTAMP(6)),
    ('tasks_app', '0003_shards', UTC_TIMESTAMP(6)),
    ('tasks_app', '0004_tokens_and_webhooks', UTC_TIMESTAMP(6)),
    ('tasks_app', '0005_set_aside_items', UTC_TIMESTAMP(6)),
    ('tasks_app', '0006_list_indexes', UTC_TIMESTAMP(6)),
    ('tasks_app', '0007_identity_columns', UTC_TIMESTAMP(6)),
    ('tasks_app', '0008_audit_of_operators', UTC_TIMESTAMP(6)),
    ('tasks_app', '0009_queues_by_name', UTC_TIMESTAMP(6)),
    ('tasks_app', '0010_planned_totals', UTC_TIMESTAMP(6)),
    ('tasks_app', '0011_failed_records', UTC_TIMESTAMP(6)),
    ('tasks_app', '0012_files', UTC_TIMESTAMP(6)),
    ('tasks_app', '0013_dry_runs', UTC_TIMESTAMP(6)),
    ('tasks_app', '0014_failures_retry', UTC_TIMESTAMP(6)),
    ('tasks_app', '0015_outbox', UTC_TIMESTAMP(6)),
    ('tasks_app', '0016_start_at', UTC_TIMESTAMP(6)),
    ('tasks_app', '0017_migration_tasks', UTC_TIMESTAMP(6));

-- The fixed rows of `manage.py load_test_context`. Existing rows stay unchanged.
-- Written by `manage.py write_sql` from catalog/sample_rows.py. Do not edit.
--
--   mariadb --database NAME < catalog/sql/test_context.sql

SET NAMES utf8mb4;

INSERT IGNORE INTO `users`
    (`id`, `task_id`, `position`, `first_name`, `last_name`, `email`, `phone`, `city`, `birth_date`, `created_at`)
VALUES
    (1, '00000000-0000-7000-8000-000000000001', 0, 'Ada', 'Lovelace', 'ada.lovelace@example.com', '+1 555 010 0001', 'London', '1815-12-10', '2024-07-01 12:00:00'),
    (2, '00000000-0000-7000-8000-000000000001', 1, 'Alan', 'Turing', 'alan.turing@example.com', '+1 555 010 0002', 'Wilmslow', '1912-06-23', '2024-07-01 12:00:00'),
    (3, '00000000-0000-7000-8000-000000000001', 2, 'Cecilia', 'Berdichevsky', 'cecilia.berdichevsky@example.com', '+1 555 010 0003', 'Buenos Aires', '1925-03-30', '2024-07-01 12:00:00'),
    (4, '00000000-0000-7000-8000-000000000001', 3, 'Grace', 'Hopper', 'grace.hopper@example.com', '+1 555 010 0004', 'Arlington', '1906-12-09', '2024-07-01 12:00:00'),
    (5, '00000000-0000-7000-8000-000000000001', 4, 'Manuel', 'Sadosky', 'manuel.sadosky@example.com', '+1 555 010 0005', 'Buenos Aires', '1914-04-13', '2024-07-01 12:00:00');

INSERT IGNORE INTO `products`
    (`id`, `task_id`, `position`, `sku`, `name`, `category`, `price`, `stock`, `created_at`)
VALUES
    (1, '00000000-0000-7000-8000-000000000001', 0, 'CTX-0001', 'Punched cards, box of 2000', 'office', 18.50, 120, '2024-07-01 12:00:00'),
    (2, '00000000-0000-7000-8000-000000000001', 1, 'CTX-0002', 'Brass gear wheel', 'tools', 42.00, 36, '2024-07-01 12:00:00'),
    (3, '00000000-0000-7000-8000-000000000001', 2, 'CTX-0003', 'Vacuum tube', 'tools', 7.25, 400, '2024-07-01 12:00:00'),
    (4, '00000000-0000-7000-8000-000000000001', 3, 'CTX-0004', 'Desk lamp', 'home', 59.90, 15, '2024-07-01 12:00:00');

INSERT IGNORE INTO `order_items`
    (`id`, `task_id`, `position`, `user_id`, `product_id`, `quantity`, `unit_price`, `total`, `ordered_at`)
VALUES
    (1, '00000000-0000-7000-8000-000000000001', 0, 1, 2, 3, 42.00, 126.00, '2024-07-01 12:00:00'),
    (2, '00000000-0000-7000-8000-000000000001', 1, 1, 1, 1, 18.50, 18.50, '2024-07-01 12:00:00'),
    (3, '00000000-0000-7000-8000-000000000001', 2, 2, 3, 12, 7.25, 87.00, '2024-07-01 12:00:00'),
    (4, '00000000-0000-7000-8000-000000000001', 3, 3, 1, 2, 18.50, 37.00, '2024-07-01 12:00:00'),
    (5, '00000000-0000-7000-8000-000000000001', 4, 3, 4, 1, 59.90, 59.90, '2024-07-01 12:00:00'),
    (6, '00000000-0000-7000-8000-000000000001', 5, 4, 3, 6, 7.25, 43.50, '2024-07-01 12:00:00'),
    (7, '00000000-0000-7000-8000-000000000001', 6, 5, 2, 1, 42.00, 42.00, '2024-07-01 12:00:00'),
    (8, '00000000-0000-7000-8000-000000000001', 7, 5, 4, 2, 59.90, 119.80, '2024-07-01 12:00:00');
